"""The life of the process: exit, Ctrl-C, fork, garbage, threads and descriptors."""

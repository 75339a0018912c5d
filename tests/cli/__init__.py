"""The command line, as programs of their own against real brokers."""

"""Clients against real brokers and scripted peers: what they do when the network or the server is difficult."""

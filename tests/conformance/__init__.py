"""What the standards demand of a client, on the wire: through the public API against scripted peers."""

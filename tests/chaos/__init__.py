"""Chaos: messages through a proxy that resets every connection at a chosen instant, and a judge of every packet."""

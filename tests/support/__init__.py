"""What the tests stand on: a real broker, a scripted peer, an independent codec, traces and waits."""

"""Executors: each runs one action in its own kind of isolation, and knows nothing but actions."""

"""Study sparse neural networks: train, prune, rewind, repeat."""

__version__ = "0.1.0"

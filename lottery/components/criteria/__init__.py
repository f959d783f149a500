"""Score weights: one file a component."""

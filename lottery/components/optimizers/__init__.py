"""Wrap the optimizers of torch: one file a component."""

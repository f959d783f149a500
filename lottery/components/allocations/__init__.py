"""Turn scores and a density into a mask: one file a component."""

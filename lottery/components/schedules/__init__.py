"""Give the density of a level: one file a component."""

"""Give the learning rate's multiplier at a step: one file a component."""

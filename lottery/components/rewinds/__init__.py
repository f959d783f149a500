"""Choose the weights and the schedule a level starts from: one file a component."""

"""Pool scores to the units that are pruned together: one file a component."""

"""Say which weights a run begins with: one file a component."""

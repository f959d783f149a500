"""Make a follow-up of a finished level: one file a component."""

"""Hold the nets: one file a net, whose function of the same name builds it for a task."""

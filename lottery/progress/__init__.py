"""A run or a sweep at work: how far it is, and who else is told."""

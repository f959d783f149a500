"""Hand the runs of a sweep to what queues and starts jobs on a cluster."""

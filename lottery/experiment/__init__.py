"""The life of a run: its levels, its record, its jobs."""

"""Runs read back from the disk: found, told, compared, judged."""

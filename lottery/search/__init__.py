"""Searching for settings: trials that are ordinary runs, chosen and judged by validation."""

"""The loop over steps, and what it leaves."""

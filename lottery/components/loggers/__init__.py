"""Show the numbers of runs elsewhere, one file a board."""

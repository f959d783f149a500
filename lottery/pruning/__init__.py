"""How a mask is made: scores, structures, rounds, allocations."""

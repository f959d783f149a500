def listed(level: int, *, densities: list[float]) -> float:
    """Give the densities of levels 1, 2, ... one by one; level 0 is dense.

    Raises IndexError past the last one, which ends the run.
    """
    return densities[level - 1] if level else 1.0

def linear(level: int, *, step: float) -> float:
    """Prune the same share of all weights at every level: 1 - step * level."""
    return 1 - step * level

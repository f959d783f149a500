def geometric(level: int, *, keep: float) -> float:
    """Keep the same share of what is left at every level: keep ** level."""
    return keep**level

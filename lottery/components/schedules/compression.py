def compression(level: int, *, step: float) -> float:
    """Raise the compression by the same power of ten at every level: 10 ** -(step * level).

    The axis of Tanaka et al. 2020 (SynFlow), whose steps are 0.25.
    """
    return float(10 ** -(step * level))

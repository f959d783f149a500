import math

from lottery.terms.step import Step


def cosine(step: Step, total: Step, *, end: float) -> float:
    """Fall along half a cosine from 1 to `end` (Loshchilov & Hutter 2017, one cycle)."""
    return end + (1 - end) * (1 + math.cos(math.pi * step.iteration / total.iteration)) / 2

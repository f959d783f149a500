import math

from lottery.terms.step import Step, parse


def inverse_sqrt(step: Step, total: Step, *, after: str) -> float:
    """Fall with the square root of the step from the step `after` on (Vaswani et al. 2017, eq. 3).

    Their rise before it is train.warmup, as long.
    """
    first = max(1, parse(after, total.steps_per_epoch, total.iteration).iteration)
    return math.sqrt(first / max(first, step.iteration))

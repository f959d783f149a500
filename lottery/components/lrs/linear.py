from lottery.terms.step import Step


def linear(step: Step, total: Step, *, end: float) -> float:
    """Fall in a straight line from 1 to `end`."""
    return 1 + (end - 1) * step.iteration / total.iteration

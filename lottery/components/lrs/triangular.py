from lottery.terms.step import Step, parse


def triangular(step: Step, total: Step, *, start: float, peak: str, end: float) -> float:
    """Rise in a straight line from `start` to 1 at the step `peak`, then fall to `end`.

    TurboPrune's is 0.2 to 1 at a fifth of training, then to 0.
    """
    top = parse(peak, total.steps_per_epoch, total.iteration).iteration
    if step.iteration < top:
        return start + (1 - start) * step.iteration / top
    return 1 + (end - 1) * (step.iteration - top) / max(1, total.iteration - top)

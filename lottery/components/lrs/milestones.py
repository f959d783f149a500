from lottery.errors import UsageError
from lottery.terms.step import Step, parse


def milestones(step: Step, total: Step, *, at: list[str], factor: float) -> float:
    """Multiply by `factor` at each step in `at`."""
    steps = [parse(text, total.steps_per_epoch, total.iteration) for text in at]
    for text, milestone in zip(at, steps, strict=True):
        if milestone > total:
            raise UsageError(
                f"the milestone {text} is after the end of training ({total}); write it as a "
                'share of training, like \'train.lr.at=["0.5","0.75"]\''
            )
    return float(factor ** sum(milestone <= step for milestone in steps))

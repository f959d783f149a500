from lottery.step import Step, parse


def milestones(step: Step, total: Step, *, at: list[str], factor: float) -> float:
    """Multiply by `factor` at each step in `at`."""
    passed = [parse(m, total.steps_per_epoch, total.iteration) <= step for m in at]
    return float(factor ** sum(passed))

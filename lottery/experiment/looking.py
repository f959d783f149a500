"""Say at which steps of a training a rule may look for the moment to make a mask."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from lottery.errors import UsageError
from lottery.terms.mask import Mask
from lottery.terms.step import Span, Step


@dataclass(frozen=True)
class Timeline:
    """A training in which a rule looks: how its steps are spelled, which it has, where all end."""

    step: Callable[[str], Step]
    span: Span
    length: Step

    def between(self, every: str, most: str) -> list[Step]:
        """Return the multiples of `every` after the start, up to `most`; raises UsageError."""
        pace, last = self.step(every), self.step(most)
        size = self.length.steps_per_epoch
        if pace.iteration < 1:
            raise UsageError(f"prune.at: every={every} is no length; type prune.at.every=1ep")
        if last > self.length:
            raise UsageError(
                f"prune.at: most={most} is after the end of training, {self.length}; "
                "type prune.at.most=end"
            )
        found = range(pace.iteration, min(last.iteration, self.span.stop) + 1, pace.iteration)
        steps = [Step(at, size) for at in found if at > self.span.start]
        if not steps:
            raise UsageError(
                f"prune.at: from {Step(self.span.start, size)} up to {most} there is no mask to "
                f"make each {every}; type prune.at.every=1it or prune.at.most=end"
            )
        return steps


@dataclass
class Asked:
    """Note the steps that a rule looks at (`terms.looks.Looks`).

    The masks are made up: all the same where they are `alike`, else each the opposite of the last.
    """

    timeline: Timeline
    alike: bool
    seen: list[int] = field(default_factory=list)

    def steps(self, every: str, most: str) -> list[Step]:
        return self.timeline.between(every, most)

    def mask(self, step: Step) -> Mask:
        self.seen.append(step.iteration)
        return {"": torch.tensor([self.alike or len(self.seen) % 2 == 0])}

    def warn(self, text: str) -> None:
        """Say nothing: these are no masks of a net."""

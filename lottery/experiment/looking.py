"""Let a rule look for the moment to make a mask: at which steps, and at which masks."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.progress.bars import Progress
from lottery.terms import mask as masks
from lottery.terms.mask import Mask
from lottery.terms.parts import Moment
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
                "type prune.at.most=0.5"
            )
        found = range(pace.iteration, min(last.iteration, self.span.stop) + 1, pace.iteration)
        steps = [Step(at, size) for at in found if at > self.span.start]
        if not steps:
            raise UsageError(
                f"prune.at: from {Step(self.span.start, size)} up to {most} there is no mask to "
                f"make each {every}; type prune.at.every=1it"
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


@dataclass
class Looked:
    """The masks that a rule asks of a training, one after the other (`terms.looks.Looks`)."""

    timeline: Timeline
    make: Callable[[int], Mask]
    watch: Progress
    packed: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # step -> a bit a weight
    last: Mask = field(default_factory=dict)
    settled: bool = True  # whether the rule has found what it looks for

    def steps(self, every: str, most: str) -> list[Step]:
        return self.timeline.between(every, most)

    def mask(self, step: Step) -> Mask:
        self.last = self.make(step.iteration)
        self.packed[step.iteration] = masks.pack(self.last)
        return self.last

    def warn(self, text: str) -> None:
        self.settled = False
        self.watch.warn(text, "moment")

    def at(self, step: int) -> Mask:
        """Return the mask of a step that was looked at."""
        return masks.unpack(self.packed[step], {name: m.shape for name, m in self.last.items()})

    def distances(self) -> list[tuple[int, int, float]]:
        """Return the normalised Hamming distance of every two masks, by their steps."""
        total = masks.total(self.last)
        rows = {step: joined(bits) for step, bits in self.packed.items()}
        return [
            (one, other, int(np.unpackbits(rows[one] ^ rows[other]).sum()) / total)
            for one in rows
            for other in rows
            if other < one
        ]


def joined(bits: dict[str, Tensor]) -> np.ndarray:
    """Return the packed bits of all layers in a row."""
    return np.concatenate([packed.numpy().reshape(-1) for packed in bits.values()])


def name_of(rule: Moment) -> str:
    """Return the name of a rule."""
    return str(getattr(rule, "func", rule).__name__)

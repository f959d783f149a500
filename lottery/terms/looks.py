"""Say what a rule sees that finds, while a net trains, when its mask is to be made."""

from collections.abc import Sequence
from typing import Protocol

from lottery.terms.mask import Mask, total
from lottery.terms.step import Step


class Looks(Protocol):
    """Give the masks that a run's own method would make of a training, step by step."""

    def steps(self, every: str, most: str) -> Sequence[Step]:
        """Return each step that is a multiple of `every`, after the start and up to `most`.

        Raises UsageError where either is no step of training, or there is none between them.
        """
        ...

    def mask(self, step: Step) -> Mask:
        """Return the mask that would be made of the state at a step, of the level's density."""
        ...

    def warn(self, text: str) -> None:
        """Tell people what they would not expect."""
        ...


def distance(one: Mask, other: Mask) -> float:
    """Return the share of weights that one mask keeps and the other prunes, in [0, 1].

    The normalised Hamming distance of You et al. 2020, over all weights of both masks.
    """
    return sum(int((keep ^ other[name]).sum()) for name, keep in one.items()) / total(one)

"""Say how the lines of a figure look, so that each can be told from the others. No matplotlib."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2)), (0, (3, 1)))
CLEAR = len(COLOURS)  # lines of a colour each
SERIES = 2 * CLEAR  # as many again with hollow markers; more of them cannot be told apart


@dataclass(frozen=True)
class Look:
    """How one line of a figure looks: colour, marker and dashes, hollow where colours repeat."""

    colour: str
    marker: str
    dashes: Any
    hollow: bool


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return how each of at most `SERIES` lines looks.

    Each of the first `CLEAR` is told by its colour, marker or dashes alone; each of the others has
    a colour of theirs with a hollow marker of another shape.
    """
    around = [(place, (place + CLEAR // 2) % CLEAR) for place in range(CLEAR)]
    kinds = [Look(COLOURS[p], MARKERS[p], DASHES[p], hollow=False) for p, _ in around]
    kinds += [Look(COLOURS[p], MARKERS[q], DASHES[q], hollow=True) for p, q in around]
    return dict(zip(names, kinds, strict=False))

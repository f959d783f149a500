"""Say how far two masks are the same, from what their layers keep. Imports no torch."""

import math
from collections.abc import Iterable
from typing import NamedTuple


class Shared(NamedTuple):
    """Of one layer in two masks: how many weights both keep, the one, the other, and it has."""

    both: int
    one: int
    other: int
    total: int


def overlap(layers: Iterable[Shared]) -> tuple[float, float]:
    """Return the weights that both masks keep over those that either keeps (Jaccard), and chance.

    By chance: that of random masks which keep as many weights of each layer, with the expected
    intersection, the sum of one * other / total over the layers, in place of the real one; close to
    the expected overlap where layers have many weights. NaN where neither keeps any.
    """
    both, expected, kept = 0, 0.0, 0
    for layer in layers:
        both += layer.both
        expected += layer.one * layer.other / layer.total if layer.total else 0.0
        kept += layer.one + layer.other
    found = both / (kept - both) if kept - both else math.nan
    return found, expected / (kept - expected) if kept - expected else math.nan

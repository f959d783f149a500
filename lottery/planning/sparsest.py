"""Find the sparsest density that matches the dense net, by bisection over a schedule's levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Bisection:
    """Which levels were looked at, and how much better than dense each is; below 0 is worse.

    It takes what is sparser than a level below for below, too. So it finds what all levels would
    show wherever the levels that match come before those that do not.
    """

    levels: int
    gains: dict[int, float] = field(default_factory=dict)  # by level, NaN included
    matches: dict[int, bool] = field(default_factory=dict)

    def search(self, look: Callable[[int], tuple[float, bool]]) -> int:
        """Return the sparsest level that matches, 0 for none; `look` trains one and judges it.

        At most floor(log2(levels)) + 1 are looked at.
        """
        low, high = 0, self.levels + 1  # the dense net matches, nothing is known of `high`
        while high - low > 1:
            middle = (low + high) // 2
            self.gains[middle], self.matches[middle] = look(middle)
            low, high = (middle, high) if self.matches[middle] else (low, middle)
        return low

    def rises(self) -> Iterator[tuple[int, int]]:
        """Yield pairs of neighbours among what was looked at of which the sparser is better."""
        known = sorted(self.gains)
        for one, other in zip(known, known[1:]):
            if self.gains[other] > self.gains[one]:
                yield one, other


def alone(settings: dict[str, Any], density: float) -> dict[str, Any]:
    """Return the settings of a run of one pruned level, of this density."""
    schedule = {"name": "listed", "densities": [density]}
    return settings | {"schedule": schedule, "levels": 1, "levels_until": None}

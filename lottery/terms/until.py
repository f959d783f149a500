"""Say when a run has pruned far enough: a ticket that is worse than the dense net by so much."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lottery.errors import UsageError
from lottery.terms.metric import Metric

FORM = re.compile(r"dense(?:-(\d+(?:\.\d*)?(?:e-?\d+)?|\.\d+))?")
EQUAL = 1e-9  # of a tolerance: what the difference of two shares is off by is far less


@dataclass(frozen=True)
class Until:
    """How much worse than the dense net a ticket may be, in the metric's unit (a share of 1)."""

    said: str
    tolerance: float

    def below(self, metric: Metric, level: Mapping[str, Any], dense: Mapping[str, Any]) -> bool:
        """Say of a level's results whether they are worse than dense by more than the tolerance.

        By the metric at the level's end, of validation data; NaN is worse than anything.
        """
        gain = metric.gain(value(metric, level), value(metric, dense))
        return not gain >= -self.tolerance * (1 + EQUAL)


def value(metric: Metric, result: Mapping[str, Any]) -> float:
    """Return what was measured on validation data at the end of a level."""
    found = result.get(f"val_{metric.name}")
    return math.nan if found is None else float(found)


def until(said: str | None) -> Until | None:
    """Read levels_until: dense, or dense-TOLERANCE; raises UsageError for anything else."""
    if said is None:
        return None
    found = FORM.fullmatch(said)
    if not found:
        raise UsageError(
            f"levels_until: '{said}' is none of dense and dense-NUMBER, the number in the metric's "
            "unit (accuracy: a share of 1); type levels_until=dense-0.01"
        )
    return Until(said, float(found[1] or 0))

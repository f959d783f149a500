"""Say what a search wants: a validation column of metrics.csv, judged over the levels so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lottery.errors import LotteryError, UsageError
from lottery.results.facts import level_rows, value
from lottery.terms.metric import LOSS, SPLITS, Metric, measured
from lottery.wording.spelling import suggestion

AT = ("last", "best", "area")


class NoScoreError(LotteryError):
    """A run has ended and shows no number to judge it by."""


@dataclass(frozen=True)
class Goal:
    """What trials are judged by: the better end of a column, at some of the levels."""

    column: str
    metric: Metric
    at: str

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which end is better, as Optuna says it."""
        return "maximize" if self.metric.higher else "minimize"

    def scores(self, folders: Sequence[Path]) -> list[float]:
        """Return the score that replicates have after each level that all of them have.

        A mean over replicates, as the metric takes it. Raises NoScoreError for a number that is
        missing or not finite, and DamagedError for a table that is.
        """
        every = [self.of_run(level_rows(folder)) for folder in folders]
        found = [self.metric.average(level) for level in zip(*every, strict=False)]
        if not found:
            raise NoScoreError("there is no level in its metrics.csv")
        return found

    def densities(self, folder: Path) -> list[float]:
        """Return the density of each level of a run."""
        return [float(row["density"]) for row in level_rows(folder)]

    def of_run(self, rows: Sequence[dict[str, Any]]) -> list[float]:
        """Return the score of one run after each of its levels, by the rows of its metrics.csv."""
        found, points = [], []
        for row in rows:
            number = value(row.get(self.column))
            if number is None or not math.isfinite(number):
                told = "no number" if number is None else number
                raise NoScoreError(f"{self.column} of level {row.get('level')} is {told}")
            points.append((float(row["density"]), number))
            found.append(self.judged(points))
        return found

    def judged(self, points: Sequence[tuple[float, float]]) -> float:
        """Return the score of levels: (density, value) of each, the dense one first.

        last: the value of the last level. best: the best value of the pruned levels; of the dense
        level alone that. area: the mean over -log(density), by trapezoids.
        """
        values = [number for _, number in points]
        if self.at == "last" or len(values) == 1:
            return values[-1]
        if self.at == "best":
            return self.metric.best(values[1:])
        across = [-math.log(density) for density, _ in points]
        if across[-1] <= across[0]:  # nothing was pruned
            return sum(values) / len(values)
        steps = zip(across, across[1:], values, values[1:], strict=False)
        area = sum((b - a) * (one + other) / 2 for a, b, one, other in steps)
        return area / (across[-1] - across[0])

    def shown(self, score: float | None) -> str:
        """Return a score for people, with its unit."""
        return self.metric.said(score)

    def better(self, score: float, other: float) -> bool:
        """Say whether a score is better than another."""
        return self.metric.gain(score, other) > 0


def goal(typed: str, at: str, metrics: Sequence[Metric], validation: int) -> Goal:
    """Return what a search wants, "" for the first metric; raises UsageError.

    `validation` is how many examples there are to judge by.
    """
    column = typed or "val"
    column = f"{column}_{metrics[0].name}" if column in (*SPLITS, "best_val") else column
    found = measured(column, metrics)
    known = [f"val_{metric.name}" for metric in (*metrics, LOSS)]
    if found is None and column in (*[m.name for m in metrics], LOSS.name):
        raise UsageError(f"search: goal={typed}: of which split? type goal=val_{column}")
    if found is None:
        hint = suggestion(column, known)
        raise UsageError(
            f"search: goal={typed}: nothing of that name is measured{hint} "
            f"(there are: {', '.join(known)})"
        )
    if found.split != "val":
        why = {
            "test": "test data in a choice are no test any more",
            "train": "what a net has learned by heart says nothing of what it has learned",
        }
        raise UsageError(
            f"search: goal={typed}: {why[found.split]}; type goal=val_{found.metric.name}"
        )
    if not validation:
        raise UsageError(
            "search: there is no validation split to judge by; type dataset.validation=N"
        )
    return Goal(column, found.metric, at)

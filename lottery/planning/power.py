"""Say how many replicates an interval of a given width takes, by the spread of those there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from lottery.errors import UsageError
from lottery.experiment.single import command
from lottery.results.comparison import Group, gathered
from lottery.results.folders import runs_in
from lottery.results.formats import aligned
from lottery.results.stats import error_of_mean, wilson
from lottery.terms.metric import SPLITS, Metric
from lottery.wording.text import near

if TYPE_CHECKING:
    from lottery.config.composed import Composed

MOST = 1_000_000  # replicates, beyond which nobody counts
LARGEST = 700.0  # of what math.sinh takes
FEW = "replicate=0,1,2"


@dataclass(frozen=True)
class Needed:
    """What one level of a config, or the difference of two, takes."""

    what: str  # of which configs: A, or B - A
    level: int
    density: float
    replicates: int  # that there are
    half: float  # half the width of the 95 % interval of their mean, in the metric's unit
    needed: int | None  # replicates for the width that is wanted; None for more than `MOST`


def half_width(values: Sequence[float], metric: Metric | None) -> Callable[[int], float]:
    """Return half the width of the 95 % interval of the mean of n values with this spread, by n.

    Student's t of n - 1 degrees of freedom; where the metric is averaged by logarithms half the
    distance of the ends, exp(mean) sinh(t s / sqrt(n)); of shares of trials Wilson's. Without a
    metric they are differences.
    """
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    def reach(some: Sequence[float], n: int) -> float:
        deviation = error_of_mean(some) * math.sqrt(len(some))
        return float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)

    def by_trials(n: int) -> float:
        low, high = wilson(fmean(values), metric.trials * n if metric else n)
        return (high - low) / 2

    def by_logarithm(n: int) -> float:
        logs = [math.log(value) for value in values]
        return math.exp(fmean(logs)) * math.sinh(min(reach(logs, n), LARGEST))

    if metric and metric.trials and 0 <= min(values) <= max(values) <= 1:
        return by_trials
    if metric and metric.mean == "log" and min(values) > 0:
        return by_logarithm
    return lambda n: reach(values, n)


def replicates(values: Sequence[float], width: float, metric: Metric | None = None) -> int | None:
    """Return the fewest replicates, 2 at least, whose interval is at most +- `width`.

    None for more than `MOST`. The spread of `values`, two or more, is taken for that of all.
    """
    half = half_width(values, metric)
    low, high = 1, 2  # low does not suffice, high is asked
    while half(high) > width:
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if half(middle) <= width else (middle, high)
    return high


@dataclass
class Powers:
    """What the configs of one command would take, each by its replicates on the disk."""

    width: float
    words: dict[Path, str] = field(default_factory=dict)  # what was typed, by a config's folder
    again: dict[Path, tuple[str, ...]] = field(default_factory=dict)  # the words of `run`

    def take(self, job: Composed) -> None:
        """Take note of a config; reads no data."""
        from lottery.config.identity import run_folder

        base = run_folder(job.settings, job.name).parent
        words = [w for w in job.overrides if w.partition("=")[0] != "replicate"]
        self.words.setdefault(base, " ".join(words))
        own = tuple(w for w in job.words if w.partition("=")[0] != "replicate")
        self.again.setdefault(base, own)

    def groups(self) -> list[Group]:
        """Return the configs with their replicates; raises UsageError where one has too few."""
        found = []
        for index, base in enumerate(self.words):
            group = gathered(f"{index + 1}", runs_in(base) if base.exists() else [])
            there = len({replicate for rows in group.levels.values() for replicate in rows})
            if there < 2:
                typed = command(("-m", *self.again[base], FEW))
                raise UsageError(
                    f"plan: power={self.width:g}: {near(base)} has {there} replicate"
                    f"{'s' * (there != 1)} with numbers, and a spread takes two; type: {typed}"
                )
            found.append(group)
        return found

    def column(self, groups: Sequence[Group]) -> str:
        """Return what is judged by: the first metric, of test data where all have some."""
        name = groups[0].metrics[0].name
        test = all(group.values(0, f"test_{name}") for group in groups)
        return f"{'test' if test else 'val'}_{name}"

    def rows(self, groups: Sequence[Group], column: str) -> Iterator[Needed]:
        """Yield every level of every config, then its differences to the first config, paired.

        Levels with fewer than two finite values are left out; so are differences at levels of
        unequal density.
        """
        metric, first = groups[0].measure(column), groups[0]
        for group in groups:
            for level in group.levels:
                yield from self.row(group.label, group, level, finite(group, level, column), metric)
        for group in groups[1:]:
            for level in group.levels:
                if level not in first.levels or not alike(first, group, level):
                    continue
                one, other = finite(group, level, column), finite(first, level, column)
                pairs = {k: one[k] - other[k] for k in one.keys() & other.keys()}
                yield from self.row(f"{group.label} - {first.label}", group, level, pairs, None)

    def row(
        self, what: str, group: Group, level: int, found: dict[int, float], metric: Metric | None
    ) -> Iterator[Needed]:
        """Yield what a level takes, where there are two values or more."""
        values = [found[k] for k in sorted(found)]
        if len(values) > 1:
            half = half_width(values, metric)(len(values))
            needed = replicates(values, self.width, metric)
            yield Needed(what, level, group.density(level), len(values), half, needed)

    def table(self) -> str:
        """Return it for people."""
        groups = self.groups()
        column = self.column(groups)
        metric = groups[0].metrics[0]
        split = SPLITS[column.partition("_")[0]]
        heads = ("of", "level", "density", "replicates", "now +-", "needed")
        lines = [
            (
                row.what, str(row.level), f"{row.density:.4g}", str(row.replicates),
                metric.shown(row.half), f"{row.needed:,}" if row.needed else f"over {MOST:,}",
            )
            for row in self.rows(groups, column)
        ]  # fmt: skip
        names = [f"{g.label}: {near(g.folders[0].parent)} {self.words[g.folders[0].parent]}"
                 for g in groups]  # fmt: skip
        said = (
            f"replicates for a 95 % interval of at most +- {metric.apart(self.width)} of "
            f"{split} {metric.label}, by the spread of those that are there"
        )
        return "\n".join([*map(str.rstrip, names), aligned(heads, lines, heads[1:]), "", said])

    def record(self) -> dict[str, Any]:
        """Return it for programs."""
        groups = self.groups()
        column = self.column(groups)
        return {
            "width": self.width,
            "column": column,
            "configs": {g.label: str(g.folders[0].parent) for g in groups},
            "rows": [asdict(row) for row in self.rows(groups, column)],
        }


def finite(group: Group, level: int, column: str) -> dict[int, float]:
    """Return the finite values of a column at a level, by replicate."""
    return {k: v for k, v in group.values(level, column).items() if math.isfinite(v)}


def alike(one: Group, other: Group, level: int) -> bool:
    """Say whether two configs have the same density at a level, but for rounding to weights."""
    return math.isclose(one.density(level), other.density(level), rel_tol=0.01)

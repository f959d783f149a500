"""Compare configs over their replicates, density by density. Imports neither torch nor pandas."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from lottery.errors import DamagedError, DiskError
from lottery.results import measures, order, stats
from lottery.results.facts import WHOSE, Facts, level_rows, number, recorded, spokesman, value
from lottery.results.folders import configs
from lottery.storage.warned import Warned, kinds
from lottery.terms.metric import ACCURACY, Metric, measured

NEAR = 0.02  # densities that differ by this share at most count as one
WHAT = tuple(column for column in WHOSE if column != "replicate")


@dataclass(frozen=True)
class Group:
    """The replicates of one config, and what they reached: level -> replicate -> row."""

    label: str
    folders: tuple[Path, ...]
    levels: dict[int, dict[int, dict[str, Any]]]
    damaged: dict[Path, str] = field(default_factory=dict)  # replicates left out, and why

    @cached_property
    def facts(self) -> Facts:
        """What the first replicate says of itself whose record is whole."""
        return spokesman(self.folders)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What was measured of the nets, the first that of verdicts."""
        return self.facts.metrics if self.folders else (ACCURACY,)

    @property
    def ident(self) -> str:
        return self.folders[0].parent.name

    @property
    def unfinished(self) -> list[int]:
        """The replicates that have no level yet."""
        sound = {Facts(folder).replicate for folder in self.folders if folder not in self.damaged}
        return sorted(sound.difference(*self.levels.values()))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings that decide the numbers, with dotted keys."""
        return order.deciding(self.facts)

    @cached_property
    def data(self) -> set[str]:
        """The fingerprints of the data that the replicates were trained on."""
        return {str(d) for f in self.folders if (d := Facts(f).record.get("data"))}

    @cached_property
    def warned(self) -> dict[int, list[Warned]]:
        """What the replicates that count were warned of at each level, not at its branches."""
        found: dict[int, list[Warned]] = {}
        for folder in self.folders:
            for one in Facts(folder).warnings if folder not in self.damaged else ():
                if one.level is not None and not one.branch:
                    found.setdefault(one.level, []).append(one)
        return found

    def density(self, level: int) -> float:
        """Return the density of a level, the mean over replicates."""
        return fmean(float(row["density"]) for row in self.levels[level].values())

    def measure(self, column: str, tolerance: float | None = None) -> Metric | None:
        """Return the metric that a column holds; None for a loss, and for anything else.

        `tolerance` stands in place of its own, where it is given.
        """
        found = measures.metric_of(column, self.metrics)
        return found if found is None or tolerance is None else replace(found, tolerance=tolerance)

    def written(self, column: str) -> Metric | None:
        """Return the metric in whose unit a column is written: also that of a gap."""
        return measures.written_as(column, self.metrics)

    def better(self, column: str) -> Metric | None:
        """Return what says which end of a column is better: its metric, or loss; None for none."""
        found = measured(column, self.metrics)
        return found.metric if found else None

    def gain(self, column: str) -> Callable[[float, float], float]:
        """Return what subtracts two of its values, so that above 0 is better where one end is."""
        metric = self.better(column)
        return metric.gain if metric else operator.sub

    def allowance(self, column: str, tolerance: float | None = None) -> float:
        """Return what counts as no difference of a metric, in its unit; 0 for any other column."""
        if (metric := self.measure(column, tolerance)) is None:
            return 0.0
        dense = metric.average(list(self.values(0, column).values()))
        chance = self.facts.chance if metric.of == "span" else None
        return metric.allowance(dense, chance if metric.name == self.metrics[0].name else None)

    def values(self, level: int, column: str) -> dict[int, float]:
        """Return the values of a column at a level, by replicate: finite, or those of a metric."""
        read = value if self.measure(column) else number
        found = {k: read(row.get(column)) for k, row in self.levels.get(level, {}).items()}
        return {k: v for k, v in found.items() if v is not None}

    def key(self, level: int, replicate: int) -> str:
        """Return the key of a trained level in the store; "" where its table has none."""
        return str(self.levels[level][replicate].get("key") or "")


def groups(folders: Sequence[Path]) -> list[Group]:
    """Return runs as groups, one a config, labelled A, B, ...; damaged ones are left out."""
    return [gathered(letters(index), some) for index, (_, some) in enumerate(configs(folders))]


def gathered(label: str, folders: Sequence[Path]) -> Group:
    """Return the replicates of one config with their levels."""
    levels: dict[int, dict[int, dict[str, Any]]] = {}
    damaged = {}
    for folder in folders:
        try:
            recorded(folder)
            facts = Facts(folder)
            for row in level_rows(folder):
                own = row | measures.gaps(row, facts.metrics)
                levels.setdefault(int(row["level"]), {})[facts.replicate] = own
        except (DamagedError, DiskError, KeyError, TypeError, ValueError) as error:
            damaged[folder] = str(error)
    return Group(label, tuple(folders), dict(sorted(levels.items())), damaged)


def letters(index: int) -> str:
    """Return A, B, ..., Z, AA, AB, ..."""
    before, last = divmod(index, 26)
    return (letters(before - 1) if before else "") + chr(ord("A") + last)


def differing(some: Sequence[Group]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all groups: key -> a value a group."""
    return order.differing([group.settings for group in some])


def common(
    some: Sequence[Group], first: int = 0, near: float = NEAR, every: bool = False
) -> list[dict[int, int]]:
    """Return the densities that two groups or more reached, falling: group -> its level.

    A level belongs to the nearest density of a group before it within the share `near`, the group
    number `first` counting as the first. Of a single group, and with `every`, all are returned.
    """
    anchors = met(some, first, near)
    return [levels for levels in anchors if len(levels) > 1 or len(some) == 1 or every]


def left_out(some: Sequence[Group], first: int = 0, near: float = NEAR) -> dict[int, list[float]]:
    """Return the densities that no other group reached: group -> densities, falling."""
    found: dict[int, list[float]] = {}
    for levels in met(some, first, near) if len(some) > 1 else ():
        if len(levels) == 1:
            ((index, level),) = levels.items()
            found.setdefault(index, []).append(some[index].density(level))
    return dict(sorted(found.items()))


def met(some: Sequence[Group], first: int, near: float) -> list[dict[int, int]]:
    """Return every density of the groups, falling: group -> its level there."""
    anchors: list[tuple[float, dict[int, int]]] = []
    for index in sorted(range(len(some)), key=lambda i: i != first):
        for level in some[index].levels:
            density = some[index].density(level)
            close = [a for a in anchors if abs(a[0] - density) <= near * a[0] and index not in a[1]]
            if close:
                min(close, key=lambda a: abs(a[0] - density))[1][index] = level
            else:
                anchors.append((density, {index: level}))
    anchors.sort(key=lambda anchor: -anchor[0])
    return [levels for _, levels in anchors]


def compare(
    some: Sequence[Group],
    metric: str = "test_accuracy",
    tolerance: float | None = None,
    first: int = 0,
    near: float = NEAR,
    every: bool = False,
    correction: str = "holm",
) -> list[dict[str, Any]]:
    """Return a row a common density (see `common`) and group.

    `mean` of a column over replicates with its 95 % interval `low` to `high`; `dense_difference`
    to the same replicates' level 0, with its interval, and the verdict of `stats.RULE`, which is
    for metrics; `difference` to the group number `first` over the replicates that both have, with
    its interval. A difference of a metric, or of a loss, is above 0 where that is better. Each has
    the p of a paired t-test, alone and adjusted over its `family`: the levels of the group that are
    shown. NaN for what there is not. `warnings` are the kinds of what its replicates were warned of
    at the level. `tolerance` is in the terms of the metric, None for its own.
    """
    places = common(some, first, near, every)
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for index, group in enumerate(some):
        levels = [place[index] for place in places if index in place]
        own = reached(group, levels, metric, tolerance, correction)
        pairs = [(place[index], place.get(first, -1)) for place in places if index in place]
        gaps = against(group, some[first] if index != first else None, pairs, metric, correction)
        for level, gap in zip(levels, gaps, strict=True):
            row = {"run": group.label, **{key: group.facts.whose[key] for key in WHAT}}
            row |= {"level": level, "density": group.density(level), "metric": metric}
            row["warnings"] = ", ".join(kinds(group.warned.get(level, ())))
            found[index, level] = row | own[level] | {"against": some[first].label} | gap
    return [found[index, place[index]] for place in places for index in sorted(place)]


def reached(
    group: Group,
    levels: Sequence[int],
    metric: str,
    tolerance: float | None,
    correction: str = "holm",
) -> dict[int, dict[str, Any]]:
    """Return what a group reached at levels, and how sparse ones stand to its dense level.

    The levels are one family of verdicts.
    """
    changes = [list(to_dense(group, level, metric).values()) for level in levels]
    measure, allowed = group.measure(metric), group.allowance(metric, tolerance)
    found = {}
    for level, some, test in zip(levels, changes, stats.tested(changes, correction), strict=True):
        values = group.values(level, metric)
        ends = zip(("mean", "low", "high"), stats.reach(list(values.values()), measure),
                   strict=True)  # fmt: skip
        gap = zip(("dense_difference", "dense_low", "dense_high"), stats.reach(some), strict=True)
        ps = {"dense_p": test.p, "dense_p_adjusted": test.adjusted, "dense_family": test.family}
        judged = stats.verdict(some, allowed, test.adjusted) if measure else ""
        head = {"replicates": len(values), **dict(ends), "dense_pairs": len(some)}
        found[level] = {**head, **dict(gap), **ps, "verdict": judged}
    return found


def to_dense(group: Group, level: int, metric: str) -> dict[int, float]:
    """Return the changes of a sparse level to its dense one, by replicate; {} where none is.

    Of a metric or a loss they are above 0 where the sparse one is better. Before training there is
    none, since the dense net then knows nothing.
    """
    if group.density(level) == 1 or 0 not in group.levels or group.density(0) < 1:
        return {}
    if untrained(group, metric):
        return {}
    dense = group.values(0, metric)
    gain = group.gain(metric)
    return {k: gain(v, dense[k]) for k, v in group.values(level, metric).items() if k in dense}


def untrained(group: Group, column: str) -> bool:
    """Say whether a column was measured before the first step of a level."""
    found = measured(column, group.metrics)
    return found is not None and found.start


def against(
    group: Group,
    other: Group | None,
    pairs: Sequence[tuple[int, int]],
    metric: str,
    correction: str = "holm",
) -> list[dict[str, Any]]:
    """Return the paired differences to another group, a pair of levels, over shared replicates.

    The levels are one family of tests, but for those that are the very same trained nets.
    """
    gain = group.gain(metric)
    gaps: list[list[float]] = []
    family: list[list[float]] = []
    for level, theirs in pairs:
        mine, those = group.values(level, metric), other.values(theirs, metric) if other else {}
        both = [k for k in mine if k in those]
        gaps.append([gain(mine[k], those[k]) for k in both])
        one = other and all(group.key(level, k) == other.key(theirs, k) != "" for k in both)
        family.append([] if one else gaps[-1])
    keys = ("difference", "difference_low", "difference_high")
    return [
        {
            "pairs": len(gap),
            **dict(zip(keys, stats.reach(gap), strict=True)),
            "p": test.p,
            "p_adjusted": test.adjusted,
            "family": test.family,
        }
        for gap, test in zip(gaps, stats.tested(family, correction), strict=True)
    ]


def has(some: Sequence[Group], metric: str) -> bool:
    """Say whether any level of any group has a number of this metric."""
    return any(group.values(level, metric) for group in some for level in group.levels)


def metrics(some: Sequence[Group]) -> list[str]:
    """Return the names of the columns that hold numbers."""
    rows = (row for g in some for level in g.levels.values() for row in level.values())
    found = dict.fromkeys(k for row in rows for k, v in row.items() if number(v) is not None)
    return [key for key in found if key != "level"]

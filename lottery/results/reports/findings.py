"""Say what replicates of a config show: its levels against dense, in numbers and in sentences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lottery.results import comparison, stats
from lottery.results.comparison import Group, has
from lottery.results.reports.sheets import kept, missing, percent, several, times

MEASURES = ("test_accuracy", "val_accuracy")  # the first that the runs have
SPLIT = {"test_accuracy": "test", "val_accuracy": "validation"}
HOLDS = (stats.MATCHES, stats.BEATS)
VERDICTS = (*HOLDS, stats.FALLS, stats.UNCLEAR, stats.SAME)
DIFFERENCE = ("dense_difference", "dense_low", "dense_high")
Interval = tuple[float, float, float]  # mean, and the ends of its 95 % interval


@dataclass(frozen=True)
class Reached:
    """What the replicates of a config reached at one level; accuracies are shares of 1."""

    level: int
    density: float
    compression: float
    count: int  # replicates that have it
    accuracy: Interval
    difference: Interval  # to dense, replicate by replicate
    verdict: str  # "" for the dense level
    pairs: int  # replicates that have it and their dense level
    choice: float  # mean validation accuracy, by which a level is picked; NaN for none
    family: int = 0  # levels that the verdict is corrected for; 0 where it stands for itself

    @property
    def judged(self) -> bool:
        """Whether there are replicates enough for a verdict, and not only how many are too few."""
        return self.verdict in VERDICTS

    @property
    def holds(self) -> bool:
        """Whether it is shown to be no worse than dense."""
        return self.verdict in HOLDS


def measure(group: Group) -> str:
    """Return the column that is judged: test accuracy, or validation accuracy where none is."""
    return next((c for c in MEASURES if has([group], c)), MEASURES[0])


def reached(group: Group, tolerance: float, correction: str = "holm") -> list[Reached]:
    """Return a row a level of one config, against the dense level of the same replicate."""
    column = measure(group)
    dense = 0 in group.levels and group.density(0) == 1
    rows = []
    every = comparison.reached(group, list(group.levels), column, tolerance, correction)
    for level, found in every.items():
        density = group.density(level)
        mean, low, high = (found[key] if dense else math.nan for key in DIFFERENCE)
        verdict = str(found["verdict"]) if dense and density < 1 else ""
        accuracy = (found["mean"], found["low"], found["high"])
        rows.append(
            Reached(
                level,
                density,
                1 / density,
                found["replicates"],
                accuracy,
                (mean, low, high),
                verdict,
                found["dense_pairs"],
                stats.interval(list(group.values(level, "val_accuracy").values()))[0],
                found["dense_family"],
            )
        )
    return rows


def dense_of(rows: Sequence[Reached]) -> Reached | None:
    """Return the dense level; None where the config begins sparse."""
    return next((r for r in rows if r.level == 0 and r.density == 1), None)


def sparsest(rows: Sequence[Reached], least: float = -math.inf) -> Reached | None:
    """Return the level of the smallest density that is shown to match dense; None for none.

    It has a mean accuracy of `least` or more.
    """
    holding = (r for r in rows if r.holds and r.accuracy[0] >= least)
    return min(holding, key=lambda r: r.density, default=None)


def best(rows: Sequence[Reached]) -> Reached | None:
    """Return the best pruned level; None where none is trained.

    It is picked by the mean validation accuracy, where all have one: a number of the test split
    that was picked by that split is too high.
    """
    pruned = pruned_of(rows)
    if by_validation(rows):
        return max(pruned, key=lambda r: r.choice)
    return max(pruned, key=lambda r: r.accuracy[0], default=None)


def pruned_of(rows: Sequence[Reached]) -> list[Reached]:
    """Return the pruned levels with an accuracy."""
    return [r for r in rows if r.density < 1 and not missing(r.accuracy[0])]


def by_validation(rows: Sequence[Reached]) -> bool:
    """Say whether the best of these levels can be picked by validation accuracy."""
    pruned = pruned_of(rows)
    return bool(pruned) and not any(missing(r.choice) for r in pruned)


def picked(rows: Sequence[Reached], split: str) -> str:
    """Return by what the best of several levels was picked; "" for fewer than two."""
    if len(pruned_of(rows)) < 2:
        return ""
    if by_validation(rows) and split == "test":
        return "picked by validation accuracy"
    return f"picked by this very {split} accuracy, so rather high"


def sentences(rows: Sequence[Reached], tolerance: float, split: str) -> list[str]:
    """Return the finding of one config: what matches dense, what is best, how far to trust it."""
    dense, top = dense_of(rows), best(rows)
    if dense is None or top is None:
        return [begun(rows, split)]
    if not any(r.judged for r in rows):
        return [few(rows, dense, tolerance, split), highest(rows, top, split)]
    said = f"Verdicts: {corrected([rows])}."
    return [matched(rows, dense, tolerance, split), highest(rows, top, split), said]


def corrected(configs: Sequence[Sequence[Reached]]) -> str:
    """Return over how many levels verdicts are corrected, in words."""
    sizes = [max((r.family for r in rows), default=0) for rows in configs]
    said = stats.corrected(min(filter(None, sizes), default=0), max(sizes, default=0))
    several_of = len(sizes) > 1 and any(sizes)
    return said + (f" of each config, not over the {len(sizes)} configs" if several_of else "")


def begun(rows: Sequence[Reached], split: str) -> str:
    """Return the sentence for a config without a dense level, or with nothing else."""
    if not rows:
        return "No level has a measured accuracy yet."
    last = rows[-1]
    what = f"{kept(last.density)} of the weights reach a {split} accuracy of {with_reach(last)}"
    alone = "no pruned level is finished yet" if last.density == 1 else "there is no dense level"
    return f"{what}; {alone}, so nothing can be compared."


def matched(rows: Sequence[Reached], dense: Reached, tolerance: float, split: str) -> str:
    """Return the sentence with the verdict, for three replicates or more."""
    found = sparsest(rows)
    of_dense = f"the dense net ({with_reach(dense)} {split} accuracy)"
    if found is None:
        return below(rows, of_dense, tolerance)
    verb = "even beats" if found.verdict == stats.BEATS else "still matches"
    text = (
        f"With {kept(found.density)} of its weights ({times(found.compression)} fewer) the net "
        f"{verb} {of_dense}: {with_reach(found)} over {found.count} replicates."
    )
    odd = [r for r in rows if found.density < r.density < 1 and not r.holds]
    if odd:
        named = ", ".join(kept(r.density) for r in odd)
        text += f" In between, {named} is not shown to match it."
    return text


def below(rows: Sequence[Reached], of_dense: str, tolerance: float) -> str:
    """Return the sentence for verdicts of which none holds."""
    verdicts = [r.verdict for r in rows if r.density < 1]
    falls, unclear, same = map(verdicts.count, (stats.FALLS, stats.UNCLEAR, stats.SAME))
    if falls == len(verdicts):
        return f"Every pruned level falls below {of_dense}."
    head = f"No pruned level is shown to match {of_dense}"
    apart = f"the replicates lie too far apart for a tolerance of {points(tolerance)}"
    if unclear == len(verdicts):
        return f"{head}: {apart}. More of them would tell."
    counts = (
        (falls, "falling below it"),
        (unclear, f"unclear ({apart})"),
        (same, f"whose replicates all differ from it alike ({stats.SAME})"),
        (len(verdicts) - falls - unclear - same, f"with fewer than {stats.LEAST} replicates"),
    )
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{head}; of {several(len(verdicts), 'pruned level')}: {said}."


def few(rows: Sequence[Reached], dense: Reached, tolerance: float, split: str) -> str:
    """Return the sentence for one or two replicates, which show no more than themselves."""
    count = max(r.pairs for r in rows)
    if not count:
        return "No replicate has an accuracy both dense and pruned, so nothing can be compared."
    near = [r for r in rows if r.density < 1 and r.difference[0] >= -tolerance]
    least = min(near, key=lambda r: r.density, default=None)
    every = max(r.count for r in rows)
    if count < every:
        head = f"{count} of {every} replicates have a pruned level so far, too few for a verdict"
    elif count == 1:
        head = "One replicate, so no interval and no verdict"
    else:
        head = f"{several(count, 'replicate')}, which is too few for a verdict"
    of_dense = f"the dense net ({with_reach(dense)} {split} accuracy)"
    if least is None:
        return f"{head}: every pruned level lies more than {points(tolerance)} below {of_dense}."
    return (
        f"{head}: down to {kept(least.density)} of the weights ({with_reach(least)}) a level lies "
        f"within {points(tolerance)} of {of_dense}, or above. From {stats.LEAST} replicates on "
        "this page says whether that is chance."
    )


def highest(rows: Sequence[Reached], top: Reached, split: str) -> str:
    """Return the sentence about the best level, and by what it was picked."""
    how = picked(rows, split)
    of = f"; of {len(pruned_of(rows))} pruned levels it is the one {how}" if how else ""
    return (
        f"The best ticket keeps {kept(top.density)} of the weights and reaches {with_reach(top)} "
        f"{split} accuracy{of}."
    )


def points(share: float) -> str:
    """Return a difference of accuracies in words: 0.5 points."""
    value = f"{100 * share:g}"
    return f"{value} point" if value == "1" else f"{value} points"


def with_reach(row: Reached) -> str:
    """Return a mean accuracy, with half its interval where there is one."""
    mean, low, high = row.accuracy
    if missing(mean):
        return "no measured accuracy"
    return percent(mean) if missing(low) else f"{100 * mean:.2f} ± {50 * (high - low):.2f} %"


def sort_key(rows: Sequence[Reached], least: float) -> tuple[float, float]:
    """Return by what configs are ranked: the sparsest match first, then the best accuracy.

    A match counts where it reaches `least`: to match a dense net that was trained badly is easy.
    """
    found, top = sparsest(rows, least), best(rows)
    accuracy: Any = top.accuracy[0] if top else math.nan
    return (found.density if found else math.inf, -accuracy if not missing(accuracy) else math.inf)

"""Say what replicates of a config show: its levels against dense, in numbers and in sentences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lottery.results import comparison, stats
from lottery.results.comparison import Group, has
from lottery.results.reports.sheets import around, kept, several, times
from lottery.terms.metric import Metric

SPLIT = {"test": "test", "val": "validation"}  # the first that the runs have
HOLDS = (stats.MATCHES, stats.BEATS)
VERDICTS = (*HOLDS, stats.FALLS, stats.UNCLEAR, stats.SAME)
DIFFERENCE = ("dense_difference", "dense_low", "dense_high")
Interval = tuple[float, float, float]  # mean, and the ends of its 95 % interval


@dataclass(frozen=True)
class Measure:
    """By what the levels of a config are judged."""

    metric: Metric
    column: str  # of the tables
    tolerance: float  # what counts as no difference, in the metric's unit
    chance: float | None = None  # what needs no net; None for unknown

    @property
    def name(self) -> str:
        """The column in words: test accuracy."""
        return f"{self.split} {self.metric.label}"

    @property
    def split(self) -> str:
        """The split in words: validation."""
        return SPLIT[self.column.partition("_")[0]]

    @property
    def title(self) -> str:
        """The metric in words, at the begin of a line."""
        return capital(self.metric.label)

    @property
    def unit(self) -> str:
        """The unit of values."""
        return "%" if self.metric.percent else ""

    @property
    def apart(self) -> str:
        """The unit of differences."""
        return "points" if self.metric.in_points else ""

    @property
    def slack(self) -> str:
        """The tolerance in words: 0.5 points."""
        return self.metric.apart(self.tolerance)

    @property
    def sign(self) -> str:
        """What a note says of the sign of differences, where it is not plain."""
        return "" if self.metric.higher else "; + is better"


@dataclass(frozen=True)
class Reached:
    """What the replicates of a config reached at one level, shares as shares of 1."""

    level: int
    density: float
    compression: float
    count: int  # replicates that have it
    reached: Interval
    merit: float  # the mean, larger where better, NaN for none
    difference: Interval  # to dense, replicate by replicate
    verdict: str  # "" for the dense level
    pairs: int  # replicates that have it and their dense level
    choice: float  # the same of the validation split, by which a level is picked
    family: int = 0  # levels that the verdict is corrected for; 0 where it stands for itself

    @property
    def judged(self) -> bool:
        """Whether there are replicates enough for a verdict, and not only how many are too few."""
        return self.verdict in VERDICTS

    @property
    def holds(self) -> bool:
        """Whether it is shown to be no worse than dense."""
        return self.verdict in HOLDS


def capital(text: str) -> str:
    """Return text that begins a line."""
    return text[:1].upper() + text[1:]


def measure(group: Group, tolerance: float | None = None) -> Measure:
    """Return by what a config is judged: its test split, or validation where none was tested."""
    columns = [f"{split}_{group.metrics[0].name}" for split in SPLIT]
    column = next((c for c in columns if has([group], c)), columns[0])
    chance = group.facts.chance if group.folders else None
    return Measure(group.metrics[0], column, group.allowance(column, tolerance), chance)


def reached(group: Group, tolerance: float | None, correction: str = "holm") -> list[Reached]:
    """Return a row a level of one config, against the dense level of the same replicate."""
    by, metric = measure(group, tolerance), group.metrics[0]
    dense = 0 in group.levels and group.density(0) == 1
    rows = []
    every = comparison.reached(group, list(group.levels), by.column, tolerance, correction)
    for level, found in every.items():
        density = group.density(level)
        mean, low, high = (found[key] if dense else math.nan for key in DIFFERENCE)
        verdict = str(found["verdict"]) if dense and density < 1 else ""
        chosen = metric.average(list(group.values(level, f"val_{metric.name}").values()))
        rows.append(
            Reached(
                level,
                density,
                1 / density,
                found["replicates"],
                (found["mean"], found["low"], found["high"]),
                metric.gain(found["mean"], 0.0),
                (mean, low, high),
                verdict,
                found["dense_pairs"],
                metric.gain(chosen, 0.0),
                found["dense_family"],
            )
        )
    return rows


def dense_of(rows: Sequence[Reached]) -> Reached | None:
    """Return the dense level; None where the config begins sparse."""
    return next((r for r in rows if r.level == 0 and r.density == 1), None)


def sparsest(rows: Sequence[Reached], least: float = -math.inf) -> Reached | None:
    """Return the level of the smallest density that is shown to match dense; None for none.

    Its merit is `least` or more.
    """
    holding = (r for r in rows if r.holds and r.merit >= least)
    return min(holding, key=lambda r: r.density, default=None)


def best(rows: Sequence[Reached]) -> Reached | None:
    """Return the best pruned level; None where none is trained.

    It is picked by the mean of the validation split, where all have one: a number of the test split
    that was picked by that split is too good.
    """
    pruned = pruned_of(rows)
    if by_validation(rows):
        return max(pruned, key=lambda r: r.choice)
    return max(pruned, key=lambda r: r.merit, default=None)


def pruned_of(rows: Sequence[Reached]) -> list[Reached]:
    """Return the pruned levels that were measured."""
    return [r for r in rows if r.density < 1 and not math.isnan(r.merit)]


def by_validation(rows: Sequence[Reached]) -> bool:
    """Say whether the best of these levels can be picked by the validation split."""
    pruned = pruned_of(rows)
    return bool(pruned) and not any(math.isnan(r.choice) for r in pruned)


def picked(rows: Sequence[Reached], by: Measure) -> str:
    """Return by what the best of several levels was picked; "" for fewer than two."""
    if len(pruned_of(rows)) < 2:
        return ""
    if by_validation(rows) and by.split == "test":
        return f"picked by validation {by.metric.label}"
    return f"picked by this very {by.name}, so rather {'high' if by.metric.higher else 'low'}"


def sentences(rows: Sequence[Reached], by: Measure) -> list[str]:
    """Return the finding of one config: what matches dense, what is best, how far to trust it."""
    dense, top = dense_of(rows), best(rows)
    if dense is None or top is None:
        return [begun(rows, by)]
    if not any(r.judged for r in rows):
        return [few(rows, dense, by), highest(rows, top, by)]
    said = f"Verdicts: {corrected([rows])}."
    return [matched(rows, dense, by), highest(rows, top, by), said]


def corrected(configs: Sequence[Sequence[Reached]]) -> str:
    """Return over how many levels verdicts are corrected, in words."""
    sizes = [max((r.family for r in rows), default=0) for rows in configs]
    said = stats.corrected(min(filter(None, sizes), default=0), max(sizes, default=0))
    several_of = len(sizes) > 1 and any(sizes)
    return said + (f" of each config, not over the {len(sizes)} configs" if several_of else "")


def begun(rows: Sequence[Reached], by: Measure) -> str:
    """Return the sentence for a config without a dense level, or with nothing else."""
    if not rows:
        return f"No level has a measured {by.metric.label} yet."
    last = rows[-1]
    what = f"{kept(last.density)} of the weights reach a {by.name} of {with_reach(last, by)}"
    alone = "no pruned level is finished yet" if last.density == 1 else "there is no dense level"
    return f"{what}; {alone}, so nothing can be compared."


def matched(rows: Sequence[Reached], dense: Reached, by: Measure) -> str:
    """Return the sentence with the verdict, for three replicates or more."""
    found = sparsest(rows)
    of_dense = f"the dense net ({with_reach(dense, by)} {by.name})"
    if found is None:
        return below(rows, of_dense, by)
    verb = "even beats" if found.verdict == stats.BEATS else "still matches"
    text = (
        f"With {kept(found.density)} of its weights ({times(found.compression)} fewer) the net "
        f"{verb} {of_dense}: {with_reach(found, by)} over {found.count} replicates."
    )
    odd = [r for r in rows if found.density < r.density < 1 and not r.holds]
    if odd:
        named = ", ".join(kept(r.density) for r in odd)
        text += f" In between, {named} is not shown to match it."
    return text


def below(rows: Sequence[Reached], of_dense: str, by: Measure) -> str:
    """Return the sentence for verdicts of which none holds."""
    verdicts = [r.verdict for r in rows if r.density < 1]
    falls, unclear, same = map(verdicts.count, (stats.FALLS, stats.UNCLEAR, stats.SAME))
    if falls == len(verdicts):
        verb = "falls below" if by.metric.higher else "is worse than"
        return f"Every pruned level {verb} {of_dense}."
    head = f"No pruned level is shown to match {of_dense}"
    apart = f"the replicates lie too far apart for a tolerance of {by.slack}"
    if unclear == len(verdicts):
        return f"{head}: {apart}. More of them would tell."
    counts = (
        (falls, "falling below it" if by.metric.higher else "worse than it"),
        (unclear, f"unclear ({apart})"),
        (same, f"whose replicates all differ from it alike ({stats.SAME})"),
        (len(verdicts) - falls - unclear - same, f"with fewer than {stats.LEAST} replicates"),
    )
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{head}; of {several(len(verdicts), 'pruned level')}: {said}."


def few(rows: Sequence[Reached], dense: Reached, by: Measure) -> str:
    """Return the sentence for one or two replicates, which show no more than themselves."""
    count = max(r.pairs for r in rows)
    if not count:
        article = f"a{'n' * (by.metric.label[:1] in 'aeiou')} {by.metric.label}"
        return f"No replicate has {article} both dense and pruned, so nothing can be compared."
    near = [r for r in rows if r.density < 1 and r.difference[0] >= -by.tolerance]
    least = min(near, key=lambda r: r.density, default=None)
    every = max(r.count for r in rows)
    if count < every:
        head = f"{count} of {every} replicates have a pruned level so far, too few for a verdict"
    elif count == 1:
        head = "One replicate, so no interval and no verdict"
    else:
        head = f"{several(count, 'replicate')}, which is too few for a verdict"
    of_dense = f"the dense net ({with_reach(dense, by)} {by.name})"
    worse, better = ("below", "above") if by.metric.higher else ("above", "below")
    if least is None:
        return f"{head}: every pruned level lies more than {by.slack} {worse} {of_dense}."
    return (
        f"{head}: down to {kept(least.density)} of the weights ({with_reach(least, by)}) a level "
        f"lies within {by.slack} of {of_dense}, or {better}. From {stats.LEAST} replicates on "
        "this page says whether that is chance."
    )


def highest(rows: Sequence[Reached], top: Reached, by: Measure) -> str:
    """Return the sentence about the best level, and by what it was picked."""
    how = picked(rows, by)
    of = f"; of {len(pruned_of(rows))} pruned levels it is the one {how}" if how else ""
    return (
        f"The best ticket keeps {kept(top.density)} of the weights and reaches "
        f"{with_reach(top, by)} {by.name}{of}."
    )


def with_reach(row: Reached, by: Measure) -> str:
    """Return a mean with its unit, and half its interval where there is one."""
    mean, low, high = row.reached
    if math.isnan(mean):
        return f"no measured {by.metric.label}"
    reach = around(mean, low, high, by.metric)
    words = (by.metric.shown(mean), reach, by.unit)
    return " ".join(word for word in words if word)


def sort_key(rows: Sequence[Reached], least: float) -> tuple[float, float]:
    """Return by what configs are ranked: the sparsest match first, then the best ticket.

    A match counts where it reaches `least`: to match a dense net that was trained badly is easy.
    """
    found, top = sparsest(rows, least), best(rows)
    merit = top.merit if top else math.nan
    return (found.density if found else math.inf, math.inf if math.isnan(merit) else -merit)

"""The tables of one config: levels, layers, cost, controls, verdicts, replicates."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from lottery.results import stats
from lottery.results.reports import findings
from lottery.results.reports.findings import Measure, Reached, capital
from lottery.results.reports.sheets import (
    Cell,
    Column,
    Table,
    duration,
    missing,
    number,
    several,
    share,
    spread,
    times,
    words,
)
from lottery.terms.metric import Metric

TONES = {stats.MATCHES: "good", stats.BEATS: "good", stats.FALLS: "bad"}
LAYER = (  # column of layers.csv, title, digits, factor
    ("total", "Weights", 0, 1),
    ("kept", "Kept", 0, 1),
    ("density", "Density", -1, 1),
    ("effective", "Effective", 0, 1),
    ("dead_outputs", "Outputs cut off", 0, 1),
    ("sign_changes", "Signs changed", 1, 100),
    ("moved_relative", "Moved", 1, 100),
    ("overlap", "Same as before", 1, 100),
    ("by_chance", "By chance", 1, 100),
)


SAYS = {  # what a column of theirs is
    "density": "Density: the share of the layer that is kept.",
    "effective": "Effective: kept weights on a path from an input to an output.",
    "dead_outputs": "Outputs cut off: units without an effective weight.",
    "sign_changes": "Signs changed: of the kept weights, in training.",
    "moved_relative": "Moved: how far the kept weights went in training, relative to their size at "
    "its start.",
    "overlap": "Same as before: weights that both this mask and that of the level before keep, as "
    "a share of those that either keeps (intersection over union).",
    "by_chance": "By chance: the same for two random masks that keep as many of the layer.",
}


def level_table(levels: pd.DataFrame, rows: Sequence[Reached], by: Measure) -> Table:
    """Return a row a level: density, metric over replicates, difference to dense, verdict."""
    several_of = max((r.count for r in rows), default=0) > 1
    uneven = len({r.count for r in rows}) > 1
    columns = [Column("Level"), Column("Density")]
    columns += [Column("Replicates")] if uneven else []
    columns += [Column(capital(by.name), by.unit), Column("Verdict", numeric=False)]
    columns += [Column("Against dense", by.apart), Column("Compression"), Column("Kept weights")]
    more = {
        f"val_{by.metric.name}": Column("Validation", by.unit),
        "best_step": Column("Best step"),
        "shared": Column("Shared", numeric=False),
    }
    extra = [c for c in more if c in levels and levels[c].any() and c != by.column]
    columns += [more[c] for c in extra]
    made = []
    for row in rows:
        group = levels[levels["level"] == row.level]
        cells = [
            number(row.level),
            share(row.density),
            *([number(row.count)] if uneven else []),
            spread(*row.reached, by.metric),
            words(row.verdict or standing(row), TONES.get(row.verdict, "quiet")),
            spread(*row.difference, by.metric, sign=True),
            Cell(times(row.compression), row.compression),
            count_of(group, levels, "kept"),
        ]
        made.append([*cells, *(beside(group, levels, column, by.metric) for column in extra)])
    return Table(
        "Levels" + (", means over replicates ± half of the 95 % interval" if several_of else ""),
        columns,
        made,
        note=" ".join([rule(by, rows) if several_of else signs(by), *chance(by)]).strip(),
        by_first=True,
    )


def standing(row: Reached) -> str:
    """Return what stands in place of a verdict; a later level may keep every weight too."""
    if row.density < 1:
        return ""
    return "nothing pruned" if row.level else "dense"


def signs(by: Measure) -> str:
    """Return the sentence on the sign of a difference that needs one."""
    return "" if by.metric.higher else f"Against dense{by.sign.replace(';', ':')}."


def chance(by: Measure) -> list[str]:
    """Return a sentence on what needs no net; [] where that is not known."""
    return [] if by.chance is None else [f"Chance is {by.metric.said(by.chance)}."]


def rule(by: Measure, rows: Sequence[Reached]) -> str:
    """Return how a verdict comes about, in a sentence."""
    return (
        "Against dense: mean of the paired differences, each replicate with its own dense "
        f"level{by.sign}. It matches where the whole interval is no more than {by.slack} below 0, "
        f"beats or falls below where a paired t-test has p below {stats.ALPHA} and the mean is "
        f"further from 0 than that; from {stats.LEAST} replicates on. p: "
        f"{findings.corrected([rows])}."
    )


def beside(group: pd.DataFrame, levels: pd.DataFrame, column: str, metric: Metric) -> Cell:
    """Return the cell of a column that stands beside the verdict of a level."""
    if column == "shared":
        return shared(group)
    if column.startswith("val_"):
        return spread(*stats.reach(group[column].tolist(), metric), metric)
    return count_of(group, levels, column)


def count_of(group: pd.DataFrame, levels: pd.DataFrame, column: str) -> Cell:
    """Return the mean count of a level, with a decimal where the replicates of any level differ."""
    whole = (levels.groupby("level")[column].nunique() <= 1).all()
    return number(float(group[column].mean()), 0 if whole else 1)


def shared(group: pd.DataFrame) -> Cell:
    """Say how many replicates took a level from the store, where another run had left it."""
    if "shared" not in group:
        return Cell()
    count = int(group["shared"].astype(bool).sum())
    if not count:
        return Cell("", 0)
    return Cell("yes" if len(group) == 1 else f"{count} of {len(group)}", count, tone="quiet")


def layer_table(layers: pd.DataFrame) -> Table:
    """Return a row a layer of the sparsest level: what is kept, what still works, what moved."""
    last = layers[layers["level"] == layers["level"].max()]
    present = [row for row in LAYER if row[0] in last and last[row[0]].notna().any()]
    means = last.groupby("layer", sort=False)[[c for c, *_ in present]].mean()
    made = []
    for name, row in means.iterrows():
        cells = [
            share(row[c]) if digits < 0 else number(factor * row[c], digits)
            for c, _, digits, factor in present
        ]
        made.append([words(name), *cells])
    columns = [Column(title, "%" if factor == 100 else "") for _, title, _, factor in present]
    level = int(last["level"].iloc[0])
    return Table(
        f"Layers at level {level}" + mean_of(last),
        [Column("Layer", numeric=False), *columns],
        made,
        note=" ".join(SAYS[c] for c, *_ in present if c in SAYS),
    )


def density_table(layers: pd.DataFrame) -> Table:
    """Return the density of every layer at every level."""
    means = layers.pivot_table(
        index="layer", columns="level", values="density", aggfunc="mean", sort=False
    )
    means = means[sorted(means.columns)]
    made = [[words(name), *(share(v) for v in row)] for name, row in zip(
        means.index, means.to_numpy(), strict=True)]  # fmt: skip
    heads = [Column(f"Level {int(level)}") for level in means.columns]
    return Table(
        "Density of each layer" + mean_of(layers),
        [Column("Layer", numeric=False), *heads],
        made,
        label="Every level, in numbers",
    )


def mean_of(table: pd.DataFrame) -> str:
    """Return the end of a caption that says over how many replicates the means of levels are."""
    counts = table.groupby("level")["replicate"].nunique()
    low, high = counts.min(), counts.max()
    if low < high:
        return f", means of the {low} to {high} replicates that have each level"
    return f", mean of {high} replicates" if high > 1 else ""


def replicate_table(facts: Iterable[dict[str, Any]], metric: Metric) -> Table:
    """Return a row a replicate: how far it came, how long it took, what it reached."""
    made = [
        [
            number(row["replicate"]),
            words(row["state"], "" if row["state"] == "done" else "bad"),
            Cell(f"{row['levels']} of {asked(row)}", row["levels"]),
            share(row["density"]),
            spread(row.get(f"test_{metric.name}"), None, None, metric),
            Cell(duration(row["seconds"]), row["seconds"]),
            words(str(row["started"] or "").replace("T", " ").removesuffix("+00:00")),
        ]
        for row in facts
    ]
    columns = [
        Column("Replicate"),
        Column("State", numeric=False),
        Column("Pruned levels"),
        Column("Last density"),
        Column(f"Test {metric.label} there", "%" if metric.percent else ""),
        Column("Wall time"),
        Column("Started (UTC)", numeric=False),
    ]
    return Table("Replicates", columns, made, by_first=True)


def asked(row: dict[str, Any]) -> str:
    """Return how many pruned levels were asked for."""
    return "?" if missing(row["levels_asked"]) else str(row["levels_asked"])


def shared_words(levels: pd.DataFrame) -> list[str]:
    """Say how much training was shared with other runs."""
    if "shared" not in levels:
        return []
    taken = levels[levels["shared"].astype(bool)]
    if not len(taken):
        return []
    spent = taken["seconds"].sum() if "seconds" in taken else math.nan
    saved = f", {duration(float(spent))} of training that was not repeated" if spent > 0 else ""
    return [
        f"{len(taken)} of {several(len(levels), 'level')} were trained by another run and "
        f"shared{saved}."
    ]

"""Tables of what stands beside the tickets: branches, verdicts, masks of other methods."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from lottery.results import sanity, stats
from lottery.results.reports import findings
from lottery.results.reports.sheets import Column, Table, number, share, spread, words
from lottery.results.reports.tables import mean_of, shared
from lottery.terms.metric import Metric

TICKETS = ("ticket", "shuffle", "random", "reinit")  # columns
JUDGED = {
    sanity.WEIGHTS: "good",
    sanity.DENSITIES: "bad",
}


def branch_table(branches: pd.DataFrame, levels: pd.DataFrame, metric: Metric) -> Table:
    """Return a row a level and branch: what it reached, and how far from its ticket that is."""
    names = {f"{split}_{metric.name}": words for split, words in findings.SPLIT.items()}
    there = (c for c in names if c in branches and branches[c].notna().any())
    column = next(there, next(iter(names)))
    measured = levels[column] if column in levels else pd.Series(math.nan, levels.index)
    if column not in branches:  # no record says what they measured
        branches = branches.assign(**{column: math.nan})
    own = dict(zip(zip(levels["replicate"], levels["level"], strict=True), measured, strict=True))
    made = []
    for key, group in branches.groupby(["level", "branch", "settings"], sort=False):
        level, _, settings = key
        tickets = [own.get((r, level), math.nan) for r in group["replicate"]]
        gap = map(metric.gain, group[column].tolist(), tickets)
        made.append(
            [
                number(level),
                share(group["density"].mean()),
                words(settings),
                number(len(group)),
                spread(*stats.reach(group[column].tolist(), metric), metric),
                spread(*stats.reach(list(gap)), metric, sign=True),
                shared(group),
            ]
        )
    unit = "%" if metric.percent else ""
    columns = [
        Column("Level"),
        Column("Density"),
        Column("Branch", numeric=False),
        Column("Replicates"),
        Column(f"{names[column].capitalize()} {metric.label}", unit),
        Column("Against ticket", "points" if metric.in_points else ""),
        Column("Shared", numeric=False),
    ]
    return Table("Branches of finished levels", columns, made, by_first=True)


def overlap_table(overlaps: pd.DataFrame) -> Table:
    """Return a row a level and other config: how far their masks are the same, and by chance."""
    keys = ["level", "other_run", "other_id", "other_level"]
    made = [
        [
            number(level),
            share(group["density"].mean()),
            words(f"{name}/{ident}", "text"),
            number(other),
            number(100 * group["overlap"].mean(), 1),
            number(100 * group["by_chance"].mean(), 1),
        ]
        for (level, name, ident, other), group in overlaps.groupby(keys)
    ]
    columns = [Column("Level"), Column("Density"), Column("Other config", numeric=False)]
    columns += [Column("its level"), Column("Overlap", "%"), Column("By chance", "%")]
    caption = "Masks against those of other methods on the same initial weights"
    return Table(
        caption + mean_of(overlaps),
        columns,
        made,
        note="Overlap: intersection over union of the two masks.",
        by_first=True,
    )


def sanity_table(rows: Sequence[dict[str, Any]], by: findings.Measure) -> Table:
    """Return a row a level: the ticket, its controls, and what they say of the method."""
    made = [
        [
            number(row["level"]),
            share(row["density"]),
            number(row["replicates"]),
            *(spread(row[name], None, None, by.metric) for name in TICKETS),
            spread(row["difference"], row["low"], row["high"], by.metric, sign=True),
            words(row["verdict"], f"text {JUDGED.get(row['verdict'], 'quiet')}"),
        ]
        for row in rows
    ]
    columns = [Column(t) for t in ("Level", "Density", "Replicates")]
    columns += [Column(t, by.unit) for t in ("Ticket", "Shuffled", "Random", "Re-initialised")]
    columns += [Column("Ticket against both masks", by.apart), Column("Verdict", numeric=False)]
    return Table(
        f"Tickets against their controls, test {by.metric.label}",
        columns,
        made,
        note="Against both masks: mean of the differences, replicate by replicate, with its 95 % "
        f"interval{by.sign}. The method chooses weights where a paired t-test has p below "
        f"{stats.ALPHA} and the mean is more than {by.slack} above 0, layer densities only where "
        f"the whole interval is no more than that; from {stats.LEAST} replicates on. p: "
        f"{stats.corrected(rows[0]['family'])}.",
        by_first=True,
    )

"""Judge what a method chooses: its tickets against their controls, over replicates. No torch.

Frankle et al. 2021, "Pruning Neural Networks at Initialization: Why Are We Missing the Mark?",
section 5: where a mask does no better than a random one of the same layer densities, the method has
chosen layer densities and not weights.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from lottery.results import formats, results
from lottery.results.facts import Facts, spokesman
from lottery.results.stats import (
    ALPHA,
    LEAST,
    SAME,
    Tested,
    corrected,
    reach,
    same,
    tested,
)
from lottery.terms.metric import ACCURACY, Metric

HEADING = "sanity: tickets against their controls, test {}"
WEIGHTS = "the method chooses weights"
DENSITIES = "the method chooses layer densities only"
UNKNOWN = "not distinguishable with these replicates"
WIDTHS = (5, 8, 3, 7, 7, 7, 7, -26, 0)  # places of the columns; the last two begin on the left
EASED = (4, 5, 6, 7, 3)  # columns that go where there is no room: controls, differences, tickets
POSITIONS = ("shuffle", "random")  # the same layer densities at other positions
CONTROLS = {  # what those branches have to be for that, as branches.csv has it
    "shuffle": "shuffle scope=layerwise",
    "random": "random weights=rewind",
    "reinit": "reinit",
}


def judge(
    folders: Sequence[Path], tolerance: float | None = None, correction: str = "holm"
) -> list[dict[str, Any]]:
    """Return a row a level that has controls of other positions, over replicates of one config.

    Measured is the first metric of the test split at the end of training. `difference` is how much
    better a ticket is than the mean of its shuffle and random masks, replicate by replicate, with
    the 95 % interval of its mean and the p of a paired t-test, alone and over its `family`, the
    levels that are judged; `initial` the same for ticket and re-initialisation. A difference of
    `tolerance`, in the terms of the metric and by default its own, or less counts as none.
    """
    if not (seen := [found for folder in folders if len(found := measured(folder))]):
        return []
    one = spokesman(folders)
    metric = one.metric if tolerance is None else replace(one.metric, tolerance=tolerance)
    allowed = metric.allowance(metric.average([dense_of(f, metric) for f in folders]), one.chance)
    return judged(seen, metric, allowed, correction)


def judged(
    seen: Sequence[pd.DataFrame],
    metric: Metric = ACCURACY,
    allowed: float = ACCURACY.tolerance,
    correction: str = "holm",
) -> list[dict[str, Any]]:
    """Return what `judge` does, of tables as `measured` gives them, one a replicate."""
    levels = [compared(int(str(n)), group, metric) for n, group in pd.concat(seen).groupby("level")]
    levels = [(row, gaps) for row, gaps in levels if results.number(row["difference"])]
    tests = tested([gaps for _, gaps in levels], correction)
    return [
        row
        | {"p": test.p, "p_adjusted": test.adjusted, "family": test.family}
        | {"verdict": verdict(row, gaps, test, allowed)}
        for (row, gaps), test in zip(levels, tests, strict=True)
    ]


def measured(folder: Path) -> pd.DataFrame:
    """Return level, density, ticket and a column a control: what one replicate reached."""
    levels, branches = results.metrics(folder), results.branches(folder)
    column = f"test_{Facts(folder).metric.name}"
    if not plain(folder) or column not in levels or not {column, "settings"} <= {*branches}:
        return pd.DataFrame()
    odd = branches["branch"].isin(CONTROLS) & ~branches["settings"].isin(CONTROLS.values())
    branches = branches[~odd]
    controls = branches.pivot_table(index="level", columns="branch", values=column)
    tickets = levels.set_index("level")[["density", column]]
    joined = tickets.rename(columns={column: "ticket"}).join(controls, how="inner")
    return joined.reset_index()


def dense_of(folder: Path, metric: Metric) -> float:
    """Return what the dense net of a replicate reached; NaN for none."""
    levels, column = results.metrics(folder), f"test_{metric.name}"
    dense = levels.loc[levels["level"] == 0, column].tolist() if column in levels else []
    return float(dense[0]) if dense else math.nan


def plain(folder: Path) -> bool:
    """Say whether the mask of a run stays while a level trains: else the controls are none."""
    try:
        return bool(Facts(folder).settings["prune"]["update"]["name"] == "static")
    except (LookupError, TypeError):
        return False  # of another version, or damaged


def compared(
    level: int, group: pd.DataFrame, metric: Metric = ACCURACY
) -> tuple[dict[str, Any], list[float]]:
    """Return the numbers of one level over the replicates with all its controls, and differences.

    Means over different replicates would not add up to the difference.
    """
    there = [name for name in POSITIONS if name in group and group[name].notna().any()]
    group = group.dropna(subset=["ticket", *there])
    elsewhere = group[there].apply(mean_of, axis=1, metric=metric) if there else math.nan
    row: dict[str, Any] = {
        "level": level,
        "density": float(group["density"].mean()),
        "replicates": len(group),
    }
    for name in ("ticket", *POSITIONS, "reinit"):
        row[name] = mean_of(group[name], metric) if name in group else math.nan
    fresh = group["reinit"] if "reinit" in group else pd.Series(dtype=float)
    sign = 1 if metric.higher else -1
    gaps = (sign * (group["ticket"] - elsewhere)).tolist()
    positions = reach(gaps)
    initial = reach((sign * (group["ticket"] - fresh)).dropna().tolist())
    row |= dict(zip(("difference", "low", "high"), positions, strict=True))
    row |= dict(zip(("initial", "initial_low", "initial_high"), initial, strict=True))
    return row, gaps


def mean_of(values: "pd.Series[float]", metric: Metric) -> float:
    """Return the mean over replicates or controls."""
    return metric.average(values.tolist()) if metric.mean == "log" else float(values.mean())


def verdict(row: dict[str, Any], gaps: Sequence[float], test: Tested, tolerance: float) -> str:
    """Return what the differences of tickets to controls say, one a replicate.

    Fewer than three replicates say nothing, nor do differences that are all the same: they have an
    interval of no width.
    """
    if row["replicates"] < LEAST:
        return UNKNOWN
    if same(gaps):
        return SAME
    if test.adjusted < ALPHA and row["difference"] > tolerance:
        return WEIGHTS
    return DENSITIES if row["high"] <= tolerance else UNKNOWN


def sanity_table(rows: Sequence[dict[str, Any]], metric: Metric = ACCURACY) -> str:
    """Return the rows as a table for people under its heading, shares in per cent."""
    lines = [
        ["level", "density", "n", "ticket", *POSITIONS, "reinit", " ticket - controls", "verdict"]
    ]
    lines[0][-2] = lines[0][-2] if metric.higher else " gain over controls"
    for row in rows:
        means = (metric.shown(row[key]) for key in ("ticket", *POSITIONS, "reinit"))
        numbers = (str(row["level"]), f"{row['density']:.4f}", str(row["replicates"]))
        lines.append([*numbers, *means, f" {around(row, metric)}", row["verdict"]])
    said = HEADING.format(metric.label + " in %" * metric.percent)
    heading = f"{said}; verdicts: {corrected(rows[0]['family'])}"
    return "\n".join([formats.wrapped(heading), *laid(lines, formats.room())])


def laid(lines: Sequence[list[str]], most: int | None) -> list[str]:
    """Return the lines of the table, its heads first; on a narrow terminal the verdicts stay.

    Controls that no level has are left out.
    """
    wide = [
        max(w, *(len(line[at]) for line in lines)) if w > 0 else w for at, w in enumerate(WIDTHS)
    ]
    kept = [at for at in range(len(WIDTHS)) if any(line[at].strip() for line in lines[1:])]
    there = len(kept)
    longest = max(len(line[-1]) for line in lines)
    for place in EASED:
        taken = sum(abs(wide[at]) + 1 for at in kept) - 1 + longest
        if most is not None and taken > most and place in kept:
            kept.remove(place)
    heads, *rows = lines
    heads = heads if len(kept) == there else [*heads[:-1], f"{heads[-1]} {formats.CUT}"]
    return [
        " ".join(
            line[at].rjust(wide[at]) if wide[at] > 0 else line[at].ljust(-wide[at]) for at in kept
        ).rstrip()
        for line in [heads, *rows]
    ]


def around(row: dict[str, Any], metric: Metric) -> str:
    """Return a difference and its interval, in points or in the metric's unit."""
    mean, low, high = (
        metric.shown(row[key], "+", row["ticket"]) for key in ("difference", "low", "high")
    )
    return f"{mean} ({low} to {high})" if mean and low else mean

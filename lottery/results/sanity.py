"""Judge what a method chooses: its tickets against their controls, over replicates. No torch.

Frankle et al. 2021, "Pruning Neural Networks at Initialization: Why Are We Missing the Mark?",
section 5: where a mask does no better than a random one of the same layer densities, the method has
chosen layer densities and not weights.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lottery.results import formats, results
from lottery.results.facts import Facts
from lottery.results.stats import (
    ALPHA,
    LEAST,
    SAME,
    TOLERANCE,
    Tested,
    corrected,
    interval,
    same,
    tested,
)

HEADING = "sanity: tickets against their controls, test accuracy in %"
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
    folders: Sequence[Path], tolerance: float = TOLERANCE, correction: str = "holm"
) -> list[dict[str, Any]]:
    """Return a row a level that has controls of other positions, over replicates of one config.

    Accuracies are those of the test split at the end of training. `difference` is ticket minus
    the mean of its shuffle and random masks, replicate by replicate, with the 95 % interval of its
    mean and the p of a paired t-test, alone and over its `family`, the levels that are judged;
    `initial` the same for ticket minus re-initialisation. A difference of `tolerance`, a share of
    accuracy, or less counts as none.
    """
    return judged([accuracies(folder) for folder in folders], tolerance, correction)


def judged(
    found: Sequence[pd.DataFrame], tolerance: float = TOLERANCE, correction: str = "holm"
) -> list[dict[str, Any]]:
    """Return what `judge` does, of what `accuracies` says of each replicate."""
    if not (found := [seen for seen in found if len(seen)]):
        return []
    levels = [compared(int(str(n)), group) for n, group in pd.concat(found).groupby("level")]
    levels = [(row, gaps) for row, gaps in levels if results.number(row["difference"])]
    tests = tested([gaps for _, gaps in levels], correction)
    return [
        row
        | {"p": test.p, "p_adjusted": test.adjusted, "family": test.family}
        | {"verdict": verdict(row, gaps, test, tolerance)}
        for (row, gaps), test in zip(levels, tests, strict=True)
    ]


def accuracies(folder: Path) -> pd.DataFrame:
    """Return level, density, ticket and a column a control: the accuracies of one replicate."""
    levels, branches = results.metrics(folder), results.branches(folder)
    if not plain(folder) or "test_accuracy" not in levels or "settings" not in branches:
        return pd.DataFrame()
    odd = branches["branch"].isin(CONTROLS) & ~branches["settings"].isin(CONTROLS.values())
    branches = branches[~odd]
    controls = branches.pivot_table(index="level", columns="branch", values="test_accuracy")
    tickets = levels.set_index("level")[["density", "test_accuracy"]]
    joined = tickets.rename(columns={"test_accuracy": "ticket"}).join(controls, how="inner")
    return joined.reset_index()


def plain(folder: Path) -> bool:
    """Say whether a run prunes single weights by a mask that stays: else the controls are none."""
    try:
        prune = Facts(folder).settings["prune"]
        return bool(prune["structure"]["name"] == "weight" and prune["update"]["name"] == "static")
    except (LookupError, TypeError):
        return False  # of another version, or damaged


def compared(level: int, group: pd.DataFrame) -> tuple[dict[str, Any], list[float]]:
    """Return the numbers of one level over the replicates with all its controls, and differences.

    Means over different replicates would not add up to the difference.
    """
    there = [name for name in POSITIONS if name in group and group[name].notna().any()]
    group = group.dropna(subset=["ticket", *there])
    elsewhere = group[there].mean(axis=1)
    row: dict[str, Any] = {
        "level": level,
        "density": float(group["density"].mean()),
        "replicates": len(group),
        "ticket": float(group["ticket"].mean()),
    }
    for name in (*POSITIONS, "reinit"):
        row[name] = float(group[name].mean()) if name in group else math.nan
    fresh = group["reinit"] if "reinit" in group else pd.Series(dtype=float)
    gaps = (group["ticket"] - elsewhere).tolist()
    positions = interval(gaps)
    initial = interval((group["ticket"] - fresh).dropna().tolist())
    row |= dict(zip(("difference", "low", "high"), positions, strict=True))
    row |= dict(zip(("initial", "initial_low", "initial_high"), initial, strict=True))
    return row, gaps


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


def sanity_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table for people under its heading, accuracies in per cent."""
    lines = [
        ["level", "density", "n", "ticket", *POSITIONS, "reinit", " ticket - controls", "verdict"]
    ]
    for row in rows:
        means = (results.percent(row[key]) for key in ("ticket", *POSITIONS, "reinit"))
        numbers = (str(row["level"]), f"{row['density']:.4f}", str(row["replicates"]))
        lines.append([*numbers, *means, f" {reach(row)}", row["verdict"]])
    heading = f"{HEADING}; verdicts: {corrected(rows[0]['family'])}"
    return "\n".join([formats.wrapped(heading), *laid(lines, formats.room())])


def laid(lines: Sequence[list[str]], most: int | None) -> list[str]:
    """Return the lines of the table, its heads first; on a narrow terminal the verdicts stay.

    Controls that no level has are left out.
    """
    kept = [at for at in range(len(WIDTHS)) if any(line[at].strip() for line in lines[1:])]
    there = len(kept)
    longest = max(len(line[-1]) for line in lines)
    for place in EASED:
        wide = sum(abs(WIDTHS[at]) + 1 for at in kept) - 1 + longest
        if most is not None and wide > most and place in kept:
            kept.remove(place)
    heads, *rows = lines
    heads = heads if len(kept) == there else [*heads[:-1], f"{heads[-1]} {formats.CUT}"]
    return [
        " ".join(
            line[at].rjust(WIDTHS[at]) if WIDTHS[at] > 0 else line[at].ljust(-WIDTHS[at])
            for at in kept
        ).rstrip()
        for line in [heads, *rows]
    ]


def reach(row: dict[str, Any]) -> str:
    """Return a difference and its interval, in points."""
    if not results.number(row["difference"]):
        return ""
    mean = f"{100 * row['difference']:+.2f}"
    if not results.number(row["low"]):
        return mean
    return f"{mean} ({100 * row['low']:+.2f} to {100 * row['high']:+.2f})"

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

from lottery.looking import results
from lottery.looking.facts import Facts
from lottery.stats import LEAST, TOLERANCE, interval

HEADING = "sanity: tickets against their controls, test accuracy in %"
WEIGHTS = "the method chooses weights"
DENSITIES = "the method chooses layer densities only"
UNKNOWN = "not distinguishable with these replicates"
POSITIONS = ("shuffle", "random")  # the same layer densities at other positions
CONTROLS = {  # what those branches have to be for that, as branches.csv has it
    "shuffle": "shuffle scope=layerwise",
    "random": "random weights=rewind",
    "reinit": "reinit",
}


def judge(folders: Sequence[Path], tolerance: float = TOLERANCE) -> list[dict[str, Any]]:
    """Return a row a level that has controls of other positions, over replicates of one config.

    Accuracies are those of the test split at the end of training. `difference` is ticket minus
    the mean of its shuffle and random masks, replicate by replicate, with the 95 % interval of its
    mean; `initial` the same for ticket minus re-initialisation. A difference of `tolerance`, a
    share of accuracy, or less counts as none.
    """
    found = [seen for f in folders if len(seen := accuracies(f))]
    if not found:
        return []
    table = pd.concat(found)
    rows = [level_row(int(str(level)), group, tolerance) for level, group in table.groupby("level")]
    return [row for row in rows if results.number(row["difference"])]


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


def level_row(level: int, group: pd.DataFrame, tolerance: float) -> dict[str, Any]:
    """Return the numbers and the verdict of one level, over the replicates with all its controls.

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
    positions = interval((group["ticket"] - elsewhere).tolist())
    initial = interval((group["ticket"] - fresh).dropna().tolist())
    row |= dict(zip(("difference", "low", "high"), positions, strict=True))
    row |= dict(zip(("initial", "initial_low", "initial_high"), initial, strict=True))
    return row | {"verdict": verdict(row["replicates"], *positions, tolerance)}


def verdict(replicates: int, mean: float, low: float, high: float, tolerance: float) -> str:
    """Return what the mean of ticket minus control and its 95 % interval say.

    Fewer than three replicates say nothing: two that agree by chance have an interval of no width.
    """
    if replicates < LEAST:
        return UNKNOWN
    if low > 0 and mean > tolerance:
        return WEIGHTS
    return DENSITIES if high <= tolerance else UNKNOWN


def sanity_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table for people, accuracies in per cent."""
    lines = [
        f"{'level':>5} {'density':>8} {'n':>3} {'ticket':>7} {'shuffle':>7} {'random':>7} "
        f"{'reinit':>7}  {'ticket - controls':<25} verdict"
    ]
    for row in rows:
        means = (results.percent(row[key]) for key in ("ticket", *POSITIONS, "reinit"))
        lines.append(
            f"{row['level']:>5} {row['density']:>8.4f} {row['replicates']:>3} "
            f"{' '.join(f'{mean:>7}' for mean in means)}  {reach(row):<25} {row['verdict']}"
        )
    return "\n".join(lines)


def reach(row: dict[str, Any]) -> str:
    """Return a difference and its interval, in points."""
    if not results.number(row["difference"]):
        return ""
    mean = f"{100 * row['difference']:+.2f}"
    if not results.number(row["low"]):
        return mean
    return f"{mean} ({100 * row['low']:+.2f} to {100 * row['high']:+.2f})"

"""Sum up runs over their replicates, a row a config. Imports neither torch nor pandas."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lottery.results import stats
from lottery.results.facts import Facts
from lottery.terms.metric import Metric

WHAT = ("name", "id", "model", "dataset", "method", "rewind")
HALF = " \N{PLUS-MINUS SIGN} "


def grouped(runs: Sequence[Facts], settings: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row a config, in the order of the runs: what its last levels reached, on average.

    `test` and `val` are means over the replicates that have a number, with the ends of their 95 %
    interval; `n` says how many have one for test. Replicates, states and levels are counted.
    """
    configs: dict[Any, list[Facts]] = {}
    for run in runs:
        configs.setdefault(run.folder.parent, []).append(run)
    rows = []
    for mine in configs.values():
        first = mine[0]
        row: dict[str, Any] = {key: first.whose[key] for key in WHAT}
        row |= {key: next(iter(first.values(key)), None) for key in settings}
        row["replicates"] = len(mine)
        levels = [int(run.row["levels"] or 0) for run in mine]
        row["levels"], row["levels_most"] = min(levels), max(levels)
        densities = [run.row["density"] for run in mine if run.row["density"] is not None]
        row["density"] = min(densities, default=math.nan)
        for split in ("val", "test"):
            some = [run.values(split)[0] for run in mine if run.values(split)]
            numbers = [float(value) for value in some if value is not None]
            mean, low, high = stats.reach(numbers, first.metric)
            row |= {split: mean, f"{split}_low": low, f"{split}_high": high, "n": len(numbers)}
        row["metric"] = first.metric.name
        counts = Counter(str(run.row["state"]) for run in mine)
        every = [f"{number} {state}" for state, number in counts.items()]
        row["state"] = ", ".join(every) if len(counts) > 1 else next(iter(counts))
        rows.append(row)
    return rows


def for_people(row: dict[str, Any], metric: Metric) -> dict[str, str]:
    """Return the cells of a row in words."""
    found = {key: str(row[key]) for key in (*WHAT, "replicates", "state")}
    most = row["levels_most"]
    found["levels"] = str(most) if row["levels"] == most else f"{row['levels']} to {most}"
    found["density"] = "" if math.isnan(row["density"]) else f"{row['density']:.4g}"
    for split in ("val", "test"):
        mean, low, high = row[split], row[f"{split}_low"], row[f"{split}_high"]
        text = metric.shown(mean)
        if not math.isnan(low) and metric.lopsided:
            text += f" ({metric.shown(low)} to {metric.shown(high)})"
        elif not math.isnan(low):
            text += HALF + metric.shown((high - low) / 2, beside=mean)
        found[split] = text
    return found

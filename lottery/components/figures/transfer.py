"""Masks found on one data set and trained on others, as a matrix of sources and targets."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lottery.errors import UsageError
from lottery.results import stats
from lottery.results.facts import Facts
from lottery.results.plotting import charts, trends
from lottery.results.plotting.source import Chart, Source
from lottery.storage.replicates import replicates
from lottery.wording.text import MINUS

MOST = 12  # sources, and targets
LETTERS = 36  # of names side by side, that have room below a matrix
CELL, WORDS = 0.42, 1.0  # inches of a row, and of the words around the matrix
WHOSE = ["name", "id", "replicate"]
YS = ("test", "val", "best_test", "best_val")
PATH = "rewind.path"
OPTIMIZER = "train.optimizer.name"


def transfer(runs: Source, *, at: float, y: str) -> Chart:
    """Draw what masks of each source reach on each target, less the target's dense net.

    As in Chen et al. 2020, figure 4, and Morcos et al. 2019. The source of a run with rewind=ticket
    is the data set of the run that its ticket is of, that of any other its own, by its settings and
    by the optimizer where runs of one data set differ in those; runs of another
    method than the tickets' are a row of that method. Each target is judged by what it measures
    first, and + is better: means over replicates, paired with the dense net of the same run, and
    half the 95 % interval. Colours say which share of the way from chance to dense is reached. Of
    each run the level nearest to density `at` counts. Raises UsageError without a pruned level.
    """
    if y not in YS:
        raise UsageError(f"transfer: y={y} is none of {', '.join(YS)}")
    if not 0 <= at <= 1:
        raise UsageError(f"transfer: at={at:g} is no density; type at=0.1, or at=0 for the lowest")
    levels = trends.rows_of(runs.levels, "transfer")
    pruned = trends.rows_of(levels[levels["level"] > 0], "transfer", "finished pruned level")
    wanted = at or float(pruned.groupby(WHOSE)["density"].min().max())
    apart = (np.log(pruned["density"]) - math.log(wanted)).abs()
    chosen = pruned.loc[sorted(apart.groupby([pruned[c] for c in WHOSE]).idxmin())]
    whole = {who(row): row for row in levels[levels["level"] == 0].to_dict("records")}
    rows = [
        found
        for row in chosen.to_dict("records")
        if (found := cell(row, whole.get(who(row), {}), runs.facts(row), y)) is not None
    ]
    if not rows:
        raise UsageError("transfer: no run has both its dense net and a pruned level finished")
    cells = named(pd.DataFrame(rows)).drop_duplicates(["source", "target", "key"])
    twice = cells[cells.duplicated(["source", "target", "replicate"])]
    if len(twice):
        one = twice.iloc[0]
        raise UsageError(
            f"transfer: masks of {one['source']} were trained on {one['target']} in several ways; "
            "choose runs by name or filter, so that one is left"
        )
    table = summary(cells)
    sources, targets = (list(dict.fromkeys(table[c])) for c in ("source", "target"))
    if max(len(sources), len(targets)) > MOST:
        raise UsageError(
            f"transfer: {len(sources)} sources and {len(targets)} targets have no room, at most "
            f"{MOST} of each have; choose runs by name or filter"
        )
    ends = [charts.short(100 * end) for end in (table["density"].min(), table["density"].max())]
    runs.note(f"masks that keep {' to '.join(dict.fromkeys(ends))} % of the weights")
    return drawn(table, sources, targets), table


def who(row: dict[Any, Any]) -> tuple[Any, ...]:
    """Return whose row it is."""
    return tuple(row[column] for column in WHOSE)


def cell(row: dict[Any, Any], dense: dict[Any, Any], facts: Facts, y: str) -> dict[str, Any] | None:
    """Return what a pruned level adds to the matrix; None where a number is not known."""
    metric = facts.metric
    value, whole = (float(of.get(f"{y}_{metric.name}", math.nan)) for of in (row, dense))
    if math.isnan(value) or math.isnan(whole):
        return None
    origin = facts.chance if facts.chance is not None else 0.0
    reached = (value - origin) / (whole - origin) if whole != origin else math.nan
    return {
        "target": words_of(facts),
        "source": source(facts),
        "own": PATH not in given(facts),
        **{column: row[column] for column in ("method", "replicate", "key", "density")},
        "metric": metric,
        "value": value,
        "dense": whole,
        "change": metric.gain(value, whole),
        "reached": reached,
    }


def given(facts: Facts) -> dict[str, Any]:
    """Return the settings of a run that are set."""
    return {key: value for key, value in facts.flat.items() if value is not None}


def words_of(facts: Facts) -> tuple[str, dict[str, Any]]:
    """Return the data set of a run, and what tells it from others: settings, the optimizer."""
    own = {k: v for k, v in given(facts).items() if k.startswith("dataset.") or k == OPTIMIZER}
    own.pop("dataset.name", None)
    return facts.whose["dataset"], own


def source(facts: Facts) -> tuple[str, dict[str, Any]]:
    """Return the data set that a run's mask was found on, as `words_of`, or its ticket's name."""
    path = given(facts).get(PATH)
    if path is None:
        return words_of(facts)
    place = Path(str(path)).expanduser()
    runs = [folder for part in (place, *place.parents[:2]) for folder in replicates(part)[:1]]
    if runs and place.is_dir():
        return words_of(Facts(runs[0]))
    folders = [part for part in place.parts if part not in ("outputs", "/")]
    return (place.stem if place.suffix else folders[0] if folders else str(place)), {}


def said(key: str, value: Any) -> str:
    """Return a setting in short: a word or numbers alone, 0-4 for [0, 1, 2, 3, 4]."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(type(one) is int for one in value):
        first, last = value[0], value[-1]
        row = len(value) > 2 and value == list(range(first, last + 1))
        return f"{first}-{last}" if row else ",".join(map(str, value))
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{key.rpartition('.')[2]}={f'{value:g}' if number else value}"


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the sources and targets in words that tell them apart."""
    every = [*rows["target"], *rows["source"]]
    differing: dict[str, list[str]] = {}
    for name in {name for name, _ in every}:
        settings = [own for other, own in every if other == name and own]
        keys = dict.fromkeys(key for own in settings for key in own)
        differing[name] = [k for k in keys if len({said(k, own.get(k)) for own in settings}) > 1]

    def words(label: tuple[str, dict[str, Any]]) -> str:
        name, own = label
        return " ".join([name, *(said(key, own[key]) for key in differing[name] if key in own)])

    rows = rows.assign(target=rows["target"].map(words), source=rows["source"].map(words))
    methods = rows.loc[rows["own"], "method"]
    of_tickets = rows.loc[~rows["own"], "method"]
    ours = set(of_tickets) & set(methods) or set(methods[:1])
    other = rows["own"] & ~rows["method"].isin(ours)
    rows.loc[other, "source"] = rows.loc[other, "method"]
    return rows


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a source and target: means over replicates, and the interval of the change."""
    found = []
    for (one, other), part in rows.groupby(["source", "target"], sort=False):
        mean, low, high = stats.interval(part["change"].tolist())
        metric = part["metric"].iloc[0]
        found.append({
            "source": one, "target": other, "metric": metric.name, "better": metric.better,
            "replicates": len(part), "density": part["density"].mean(),
            "value": metric.average(part["value"].tolist()),
            "dense": metric.average(part["dense"].tolist()), "change": mean, "change_low": low,
            "change_high": high, "reached": part["reached"].mean(), "scale": metric.scale,
        })  # fmt: skip
    return pd.DataFrame(found)


def drawn(table: pd.DataFrame, sources: list[str], targets: list[str]) -> Figure:
    """Return the matrix, its diagonal first: sources that are targets come in the same order."""
    order = [name for name in targets if name in sources]
    down = order + [name for name in sources if name not in order]
    across = order + [name for name in targets if name not in order]
    shares = np.full((len(down), len(across)), np.nan)
    texts: dict[tuple[int, int], str] = {}
    for row in table.to_dict("records"):
        place = down.index(row["source"]), across.index(row["target"])
        shares[place] = row["reached"]
        half = row["scale"] * (row["change_high"] - row["change_low"]) / 2
        reach = "" if math.isnan(half) else f"\n\N{PLUS-MINUS SIGN} {half:.2g}"
        texts[place] = f"{row['scale'] * row['change']:+.3g}{reach}".replace("-", MINUS)
    figure = Figure()
    axes = figure.subplots()
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(shares), norm=Normalize(0, 1, clip=True), cmap=charts.MAP,
        edgecolors="none",
    )  # fmt: skip
    for place, text in texts.items():
        charts.cell_word(axes, mesh, place, float(np.nan_to_num(shares[place])), text)
    axes.invert_yaxis()
    charts.bare(axes)
    units = dict(
        zip(table["target"], table["metric"] + table["scale"].map({100: " (%)"}).fillna(""))
    )
    turned = len(across) * max(map(len, (*across, *units.values()))) > LETTERS
    axes.set_xticks(
        np.arange(len(across)) + 0.5,
        [f"{name}\n{units[name]}" for name in across],
        rotation=45 if turned else 0, ha="right" if turned else "center",
    )  # fmt: skip
    axes.set_yticks(np.arange(len(down)) + 0.5, down)
    axes.set(xlabel="trained on", ylabel="mask of")
    bar = figure.colorbar(mesh, ax=axes, pad=0.02, aspect=25)
    bar.outline.set_visible(False)
    bar.set_label("from chance to dense", fontsize=7)
    figure.suptitle("change to the target's dense net; + is better", fontsize=7)
    figure.set_figheight(CELL * len(down) + WORDS + 0.6 * turned)
    return figure

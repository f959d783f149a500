"""What masks have in common: levels, experiments or replicates, each with each."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lottery.errors import UsageError
from lottery.results import stats
from lottery.results.plotting import charts, trends
from lottery.results.plotting.source import Chart, Source

MOST = 12  # masks: more cells than 12 x 12 have no room for their numbers
CELL = 0.5  # inches that a cell needs at most
ROOMY = 0.6  # inches of the figure a cell, from which on it shows its interval too
WAYS = ("auto", "levels", "experiments", "replicates")
Masks = dict[str, dict[int, dict[str, np.ndarray]]]  # word on the axis -> replicate -> mask


def overlap(runs: Source, *, between: str, at: float) -> Chart:
    """Draw the intersection over the union of masks, each with each: measured and by chance.

    Below the diagonal stands what was measured in per cent, with half its 95 % interval where there
    is room, above it what random masks with as many weights in each layer have in common. Masks are
    compared replicate by replicate; means over replicates. Raises UsageError for fewer than two
    masks, more than 12, and masks of different nets.
    """
    if between not in WAYS:
        raise UsageError(f"overlap: between={between} is none of {', '.join(WAYS)}")
    if not 0 <= at <= 1:
        raise UsageError(f"overlap: at={at:g} is no density; type at=0.1, or at=0 for the lowest")
    levels = trends.rows_of(runs.levels, "overlap")
    pruned = trends.rows_of(levels[levels["density"] < 1], "overlap", "finished pruned level")
    several = pruned["series"].nunique() > 1
    way = between if between != "auto" else "experiments" if several else "levels"
    if way == "experiments":
        rows = near(pruned, at, runs).assign(word=lambda t: t["series"])
    else:
        trends.few(pruned, "series", "overlap", most=1)
        if way == "levels":
            rows = thinned(pruned, runs)
            rows = rows.assign(word=level_words(rows))
        else:
            rows = near(pruned, at, runs).assign(
                word=lambda t: "replicate " + t["replicate"].astype(str)
            )
    names = list(dict.fromkeys(rows["word"]))
    if not 2 <= len(names) <= MOST:
        raise UsageError(
            f"overlap: compares 2 to {MOST} masks, these are {len(names)} {way}; choose runs, or "
            "between=levels, experiments or replicates"
        )
    masks: Masks = {name: {} for name in names}
    for row in rows.to_dict("records"):
        masks[row["word"]][0 if way == "replicates" else row["replicate"]] = runs.mask(row)
    table = pairs(names, masks)
    heading = "masks of levels" if way == "levels" else f"masks with {ends(rows)} kept"
    return drawn(names, table, "weights kept (%)" if way == "levels" else "", heading), table


def thinned(levels: pd.DataFrame, runs: Source) -> pd.DataFrame:
    """Return the rows of as many levels as have room, both ends and some evenly between."""
    there = sorted(levels["level"].unique())
    if len(there) <= MOST:
        return levels
    chosen = {there[round(place)] for place in np.linspace(0, len(there) - 1, MOST)}
    runs.note(f"{len(chosen)} of {len(there)} pruned levels are shown")
    return levels[levels["level"].isin(chosen)]


def ends(rows: pd.DataFrame) -> str:
    """Return the smallest and the largest density of rows in words: 41 % to 42 %."""
    words = [
        f"{charts.short(100 * end)} %" for end in (rows["density"].min(), rows["density"].max())
    ]
    return " to ".join(dict.fromkeys(words))


def level_words(levels: pd.DataFrame) -> "pd.Series[str]":
    """Return the mean density of each row's level in per cent; its number too where that repeats.

    Whole units leave another density in each replicate, and a level is the same level in all.
    """
    means = (100 * levels.groupby("level")["density"].mean()).map(charts.short)
    twice = means.duplicated(keep=False)
    named = means.where(
        ~twice, means + means.index.map(" (level {})".format).to_series(means.index)
    )
    return levels["level"].map(named)


def near(levels: pd.DataFrame, at: float, runs: Source) -> pd.DataFrame:
    """Return of each run the level nearest to a density: `at`, or the lowest that all reach."""
    lowest = levels.groupby(["series", "replicate"])["density"].min()
    wanted = at or float(lowest.max())
    apart = (np.log(levels["density"]) - math.log(wanted)).abs()
    best = apart.groupby([levels["series"], levels["replicate"]]).idxmin()
    rows = levels.loc[sorted(best)]
    low, high = (charts.short(100 * end) for end in (rows["density"].min(), rows["density"].max()))
    runs.note(f"masks that keep {low} % of the weights" + (f" to {high} %" if low != high else ""))
    return rows


def pairs(names: Sequence[str], masks: Masks) -> pd.DataFrame:
    """Return a row a pair: mean and 95 % interval of the overlap, and the overlap by chance."""
    rows = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            shared = sorted(masks[one].keys() & masks[other].keys())
            if not shared:
                raise UsageError(f"overlap: {one} and {other} have no replicate in common")
            found = [compared(masks[one][k], masks[other][k], one, other) for k in shared]
            mean, low, high = stats.interval([measured for measured, _ in found])
            chance = float(np.mean([by_chance for _, by_chance in found]))
            rows.append(
                {"one": one, "other": other, "replicates": len(shared), "overlap": mean,
                 "overlap_low": low, "overlap_high": high, "by_chance": chance}
            )  # fmt: skip
    return pd.DataFrame(rows)


def compared(
    a: dict[str, np.ndarray], b: dict[str, np.ndarray], one: str, other: str
) -> tuple[float, float]:
    """Return overlap and expected overlap of two masks; a layer that one lacks is dense there."""
    both = either = expected = 0.0
    total = 0.0
    for name in a.keys() | b.keys():
        x, y = (mask.get(name) for mask in (a, b))
        x, y = np.ones_like(y) if x is None else x, np.ones_like(x) if y is None else y
        if x.shape != y.shape:
            raise UsageError(f"overlap: {one} and {other} are of different nets (see {name})")
        m, n = int(x.sum()), int(y.sum())
        both, either = both + int((x & y).sum()), either + int((x | y).sum())
        expected, total = expected + m * n / x.size, total + m + n
    if not either:
        return math.nan, math.nan
    return both / either, expected / (total - expected)


def drawn(names: Sequence[str], table: pd.DataFrame, label: str, heading: str) -> Figure:
    """Return the matrix: below the diagonal what was measured, above it what chance gives."""
    place = {name: index for index, name in enumerate(names)}
    cells, reach = (np.full((len(names), len(names)), np.nan) for _ in range(2))
    for row in table.to_dict("records"):
        a, b = place[row["one"]], place[row["other"]]
        cells[b, a], cells[a, b] = 100 * row["overlap"], 100 * row["by_chance"]
        reach[b, a] = 50 * (row["overlap_high"] - row["overlap_low"])
    figure = Figure()
    side = figure.get_figwidth()
    axes = figure.subplots()
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(cells), norm=Normalize(0, 100), cmap=charts.MAP, edgecolors="none"
    )
    charts.cell_words(axes, mesh, cells, reach if side / len(names) > ROOMY else None)
    axes.invert_yaxis()
    axes.set_box_aspect(1)
    charts.bare(axes)
    places = np.arange(len(names)) + 0.5
    longest = max(len(name) for name in names)
    turned = longest * len(names) > 36 * side / 3.3
    axes.set_xticks(places, names, rotation=45 if turned else 0, ha="right" if turned else "center")
    axes.set_yticks(places, names)
    if label:
        axes.set_xlabel(label)
        axes.set_ylabel(label)
    figure.suptitle(f"{heading}: overlap (%) below, by chance above", fontsize=7)
    room = 1.5 if turned else 0.7  # inches for the words
    figure.set_figheight(min(side * (1.0 if turned else 0.95), CELL * len(names) + room))
    return figure

"""How much each layer of a net bears to be pruned alone, and what that has to do with its place."""

import math

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from lottery.errors import UsageError
from lottery.results.analyses import words
from lottery.results.plotting import charts, trends
from lottery.results.plotting.source import Chart, Source
from lottery.wording.text import MINUS

MAP = "viridis"
END = 0.9  # of the map: its last colour is too light on white
RANKS = ("depth", "size")
HIGH = 1.6  # of the width that a panel has


def layer_scan(runs: Source, *, level: int, y: str, settings: list[str]) -> Chart:
    """Draw what `analysis=[layer_scan]` found of a level of one experiment, means over replicates.

    Left the error `y` against the weights that a layer keeps, alone, a line a layer, coloured by
    its place in the model; right the lowest density that it bears, against its size. Raises
    UsageError for several experiments, for settings, and where no run has the analysis.
    """
    points, rows = runs.analysis("layer_scan_points"), runs.analysis("layer_scan")
    if not len(points) or not len(rows):
        raise UsageError(
            "layer_scan: these runs have no analysis 'layer_scan'; to make it: lottery analyze RUN "
            "analysis=layer_scan"
        )
    trends.few(points, "series", "layer_scan", most=1)
    points, rows = (chosen(table, level, settings) for table in (points, rows))
    trends.need(points, y, "layer_scan", "y")
    found = trends.summary(points, ["layer", "depth", "size", "layer_density"], [y])
    layers = rows[rows["layer"] != "all"]
    borne = trends.summary(layers, ["layer", "depth", "size"], ["tolerated"])
    whole = rows[rows["layer"] == "all"]
    scale = runs.metrics[0].scale if y.split("_")[0] in ("val", "test") else 1
    unit = " (%)" if runs.metrics[0].percent else ""
    figure = drawn(found, borne, y, scale, unit, float(whole[y].mean()), ranks(whole))
    return figure, found.merge(borne.drop(columns="replicates"), on=["layer", "depth", "size"])


def chosen(table: pd.DataFrame, level: int, settings: list[str]) -> pd.DataFrame:
    """Return the rows of a level under some settings; raises UsageError for none and several."""
    found = table[[{*settings} <= words(text) for text in table["settings"]]]
    found = found[found["level"] == level]
    there = list(found["settings"].unique())
    if not there:
        raise UsageError(f"layer_scan: nothing was found of level {level} with settings={settings}")
    if len(there) > 1:
        one, other, *_ = map(words, there)
        word = min(one - other or other - one)
        raise UsageError(f"layer_scan: it was asked under several settings; type settings=[{word}]")
    return found


def ranks(whole: pd.DataFrame) -> str:
    """Return the mean rank correlations in words."""
    said = []
    for of in RANKS:
        value = float(whole[f"{of}_rank"].mean())
        shown = "none" if math.isnan(value) else f"{abs(value):.2f}"
        said.append(f"{of} {MINUS if value < 0 else ''}{shown}")
    return "rank correlation: " + ", ".join(said)


def drawn(
    points: pd.DataFrame, borne: pd.DataFrame, y: str,
    scale: float, unit: str, own: float, said: str,
) -> Figure:  # fmt: skip
    """Return the two panels, with a bar for the place in the model."""
    figure = Figure()
    figure.set_size_inches(HIGH * figure.get_figwidth(), 0.75 * figure.get_figwidth())
    left, right = figure.subplots(1, 2)
    last = max(int(borne["depth"].max()), 2)
    place = Normalize(1, last)

    def colour(depth: float) -> tuple[float, float, float, float]:
        return colormaps[MAP](END * place(depth))

    for depth in borne["depth"]:
        rows = points[points["depth"] == depth].sort_values("layer_density")
        density, value = 100 * rows["layer_density"], scale * rows[y]
        left.plot(density, value, "o-", color=colour(depth), linewidth=0.8, markersize=2)
    left.axhline(scale * own, color=charts.INK, linewidth=0.6, dashes=(4, 2))
    charts.logarithmic(left, "x", 100 * points["layer_density"], flip=True)
    left.set_xlabel("weights of one layer kept (%)")
    left.set_ylabel(y.replace("_", " ") + unit)
    right.scatter(
        borne["size"], 100 * borne["tolerated"], c=[colour(d) for d in borne["depth"]], s=12
    )
    charts.logarithmic(right, "x", borne["size"])
    charts.logarithmic(right, "y", [*(100 * borne["tolerated"]), 100.0])
    right.set_xlabel("weights in the layer")
    right.set_ylabel("lowest density that it bears (%)")
    right.set_title(said)
    colours = ListedColormap(colormaps[MAP](np.linspace(0, END, 64)))
    bar = figure.colorbar(ScalarMappable(place, colours), ax=right, aspect=25, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_ticks([1, last], labels=["first", "last"])
    bar.set_label("layer", labelpad=-8)
    return figure

"""How far each method prunes a net before a layer is empty, beside how far one can."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lottery.errors import UsageError
from lottery.results import stats
from lottery.results.analyses import words
from lottery.results.plotting import charts, trends
from lottery.results.plotting.source import Chart, Source

ROW, SPACE = 0.3, 1.1  # inches of a method, and of the axis and the legend
MOST = 6  # nets in a figure


def collapse(runs: Source, *, level: int, settings: list[str]) -> Chart:
    """Draw the critical compressions that `analysis=[collapse]` found of a level, as points.

    A colour is a net, whose maximal compression is a line down; means of logarithms over
    replicates, with their 95 % interval. Raises UsageError where no run has the analysis at this
    level, and where one has it under several settings, which words of them narrow: [apart=0.02].
    """
    table = runs.analysis("collapse")
    if not len(table):
        raise UsageError(
            "collapse: these runs have no analysis 'collapse'; to make it: lottery analyze RUN "
            "analysis=collapse"
        )
    table = table[table["level"] == level]
    table = table[[{*settings} <= words(text) for text in table["settings"]]]
    if not len(table):
        raise UsageError(f"collapse: nothing was found of level {level} with settings={settings}")
    if table.duplicated(["series", "mask", "replicate"]).any():
        one, other, *_ = (words(text) for text in table["settings"].unique())
        word = min(one - other or other - one)
        raise UsageError(f"collapse: it was asked under several settings; type settings=[{word}]")
    trends.few(table, "series", "collapse", most=MOST)
    if table["model"].nunique() == table["series"].nunique():
        table = table.assign(series=table["model"])  # the run's own method says nothing here
    made = [
        {"series": net, "mask": method, **ends(rows)}
        for (net, method), rows in table.groupby(["series", "mask"], sort=False)
    ]
    means = pd.DataFrame(made)
    return drawn(means), means


def ends(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the mean of critical compressions by their logarithms, its interval, the maximum."""
    known = rows["critical"].dropna()
    middle = [math.exp(end) for end in stats.interval(np.log(known).tolist())]
    found = dict(zip(("critical", "critical_low", "critical_high"), middle, strict=True))
    return {**found, "maximal": rows["maximal"].iloc[0], "replicates": len(known)}


def drawn(means: pd.DataFrame) -> Figure:
    """Return the points, a row a method, the first above."""
    methods, nets = (list(dict.fromkeys(means[c])) for c in ("mask", "series"))
    figure = Figure()
    figure.set_figheight(SPACE + ROW * len(methods))
    axes = figure.subplots()
    for number, (net, look) in enumerate(charts.looks(nets).items()):
        rows = means[means["series"] == net]
        shift = 0.5 * ((number + 0.5) / len(nets) - 0.5)
        places = [methods.index(method) + shift for method in rows["mask"]]
        axes.axvline(rows["maximal"].iloc[0], color=look.colour, linewidth=0.6, dashes=(4, 2))
        axes.hlines(places, rows["critical_low"], rows["critical_high"], color=look.colour)
        axes.plot(rows["critical"], places, look.marker, color=look.colour, label=net)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    charts.logarithmic(axes, "x", [*means["critical"].dropna(), *means["maximal"], 1.0])
    axes.set_xlabel("critical compression (times)\ndashed: maximal, a weight a layer")
    if len(nets) > 1:
        charts.legend(figure, axes)
    return figure

"""The scaling law of pruned nets: measured against predicted errors, and curves of some configs."""

import shlex
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lottery.errors import UsageError
from lottery.results.plotting import charts
from lottery.results.plotting.source import Chart, Source
from lottery.results.scaling import Law

SIDE_BY_SIDE = 5.0  # inches, from which the panels have room beside each other
GRID = 200  # densities of a curve
FITTED, HELD = "fitted", "held out"


def scaling_law(runs: Source, *, settings: list[str], curves: int) -> Chart:
    """Draw what the analysis scaling_law found: errors by the joint law, and along density.

    On the left (or above) each level's measured error against that of the joint law, levels that
    were held out hollow; on the right error against density of `curves` configs, evenly chosen by
    the error of their dense nets, with the joint law as a line. `settings` are words of the
    analysis' settings, where it was asked with several: held_out=width=48. Raises UsageError where
    the runs have no such analysis, or one under several settings.
    """
    if not 1 <= curves <= charts.CLEAR:
        raise UsageError(f"scaling_law: curves={curves} is not 1 to {charts.CLEAR}; type curves=4")
    points = asked(runs, "scaling_law_points", settings)
    table = asked(runs, "scaling_law", settings)
    joint = table[table["fit"] == "joint"].iloc[0]
    law = Law(**{name: float(joint[name]) for name in ("gamma", "p", "e_up", "phi", "psi")})
    split, metric = str(joint["split"]), runs.metrics[0]
    figure = Figure()
    beside = figure.get_figwidth() > SIDE_BY_SIDE
    figure.set_figheight(figure.get_figheight() * (0.62 if beside else 1.6))
    left, right = figure.subplots(1, 2) if beside else figure.subplots(2, 1)
    unit = " (%)" * metric.percent
    agreement(left, points, split, metric.scale)
    left.set_xlabel(f"{split} error, measured{unit}")
    left.set_ylabel(f"{split} error by the joint law{unit}")
    along_density(right, points, law, split, metric.scale, curves)
    right.set_xlabel("weights kept (%)")
    right.set_ylabel(f"{split} error{unit}")
    charts.legend(figure, right)
    return figure, points


def asked(runs: Source, name: str, wanted: list[str]) -> pd.DataFrame:
    """Return a table of the analysis under the settings that have some words."""
    table = runs.analysis(name)
    if not len(table):
        raise UsageError(
            "scaling_law: these runs have no such analysis; to make it: "
            "lottery analyze RUN... analysis=scaling_law"
        )
    fits = [all(word in text.split() for word in wanted) for text in table["settings"]]
    there = list((table[fits] if any(fits) else table)["settings"].unique())
    if len(there) > 1 or not any(fits):
        words = [set(text.split()) for text in there]
        first = sorted(words[0] - set.union(set(), *words[1:]))[0]
        typed = shlex.quote(f"settings=[{first}]")
        how = "under several settings" if any(fits) else "under others"
        raise UsageError(
            f"scaling_law: it was asked {how} ({'; '.join(there)}); type {typed}"
        )
    return table[fits]


def agreement(axes: Axes, points: pd.DataFrame, split: str, scale: int) -> None:
    """Draw measured against predicted errors, the line of equal ones between."""
    columns = [f"{split}_error", f"{split}_predicted"]
    values = (scale * points[columns]).to_numpy().ravel()
    for which in ("x", "y"):
        charts.logarithmic(axes, which, values)
    ends = values.min(), values.max()
    axes.plot(ends, ends, color=charts.INK, linewidth=0.5, zorder=1)
    for held, name in ((False, FITTED), (True, HELD)):
        some = scale * points.loc[(points["held_out"] == "yes") == held, columns]
        axes.plot(*some.to_numpy().T, **dot(held), label=name)


def dot(held: bool, colour: str = "") -> dict[str, Any]:
    """Return how points look: those that were held out are hollow squares."""
    colour = colour or charts.COLOURS[1 if held else 0]
    face = "none" if held else colour
    return {
        "linestyle": "none", "color": colour, "markerfacecolor": face, "markersize": 2.8,
        "marker": "s" if held else "o", "markeredgewidth": 0.7, "zorder": 3 if held else 2,
    }  # fmt: skip


def along_density(
    axes: Axes, points: pd.DataFrame, law: Law, split: str, scale: int, curves: int
) -> None:
    """Draw error against density of some configs: as measured, and the law as a line."""
    whole = [*points.groupby("config", sort=False)]
    whole.sort(key=lambda each: float(each[1][f"{split}_dense"].mean()))
    places = np.unique(np.linspace(0, len(whole) - 1, curves).round().astype(int))
    some = [whole[place][1] for place in places]
    differing = [c for c in ("depth", "width", "data") if points[c].nunique() > 1]
    for rows, colour in zip(some, charts.COLOURS, strict=False):
        first = rows.iloc[0]
        words = [f"{c} {first[c]:g}" if c != "data" else f"data {first[c]}" for c in differing]
        density = np.geomspace(rows["density"].min(), 1, GRID)
        same = [np.full(GRID, float(first[c])) for c in ("depth", "width", f"{split}_dense")]
        axes.plot(100 * density, scale * law.error(density, *same), color=colour)
        for held, own in rows.groupby(rows["held_out"] == "yes"):
            y = scale * own[f"{split}_error"]
            axes.plot(100 * own["density"], y, **dot(bool(held), colour))
        axes.plot([], [], "-o", color=colour, markersize=2.8, label=", ".join(words) or "config")
    shown = pd.concat(some)
    charts.logarithmic(axes, "x", [100, *(100 * shown["density"])], flip=True)
    predicted = scale * shown[[f"{split}_error", f"{split}_predicted", f"{split}_dense"]]
    charts.logarithmic(axes, "y", predicted.to_numpy().ravel())
    for held in (False, True):
        if ((points["held_out"] == "yes") == held).any():
            axes.plot([], [], **dot(held, charts.INK), label=HELD if held else FITTED)

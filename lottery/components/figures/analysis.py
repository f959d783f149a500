"""What an analysis found, against density, the step that nets begin at, or the place on a line."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lottery.errors import UsageError
from lottery.results import analyses
from lottery.results.plotting import charts, endings, strokes, trends
from lottery.results.plotting.source import Chart, Source

AXES = {"density": "weights kept (%)", "step": "rewind step", "alpha": "way from net to net"}
WHOSE = ("model", "dataset", "method")  # what tells runs that differ in their rewind step as well


def analysis(
    runs: Source, *, of: str, x: str, y: str, mask: list[str], layer: str, density: list[float],
    settings: list[str], mark: float | None, ylim: list[float],
) -> Chart:  # fmt: skip
    """Draw the column `y` of what the analysis `of` found: mean and 95 % interval over replicates.

    A line is a config, or for x=step and alpha a density, and a mask. `settings` are words that
    those of the analysis are to have, as points=30; `mark` is a value that a thin line shows.
    Raises UsageError where the runs have no such analysis, for columns that it has not, and for
    what was found under several settings.
    """
    if x not in AXES:
        raise UsageError(f"analysis: x={x} is none of {', '.join(AXES)}")
    table = runs.analysis(of)
    if not len(table):
        there = ", ".join(runs.analyses) or "none"
        lack = f"these runs have no analysis '{of}' (there are: {there})"
        if of in runs.analyses:
            lack = f"what these runs have of '{of}' is damaged or empty"
        again = f"lottery analyze RUN analysis={of.partition('_')[0]}"
        raise UsageError(f"analysis: {lack}; to make it: {again}")
    if "series" not in table:
        raise UsageError(
            f"analysis: {of} is of several runs together and has no line of its own; its table is "
            f"lottery.load().analysis({of!r}), and lottery plot lists the figures"
        )
    table = of_settings(table, settings)
    trends.need(table, y, "analysis", "y")
    trends.need(table, x, "analysis", "x")
    if "layer" in table:
        table = chosen(table, "layer", [layer])
    if mask:
        table = chosen(table, "mask", mask)
    if density:
        far = [(np.log(table["density"]) - math.log(each)).abs() for each in density]
        table = table[np.logical_or.reduce([each == each.min() for each in far])]
    table = table.dropna(subset=[x, y])
    table = told_apart(table, x)
    trends.few(table, "line", "analysis")
    by = ["line", "level"] if x == "density" else ["line", x]
    means = trends.summary(table, by, list(dict.fromkeys([x, "density", y])))
    means = means.loc[:, ~means.columns.duplicated()].sort_values(["line", x], kind="stable")
    drawn = means.copy()
    metric = runs.metrics[0]
    scale = metric.scale if analyses.measured(y) else 1
    for column in (y, f"{y}_low", f"{y}_high"):
        drawn[column] *= scale
    drawn["density"] *= 100
    figure, axes = charts.canvas()
    prepare(axes, drawn, x)
    names = strokes.counted(drawn)
    ends = strokes.draw_lines(axes, drawn, x, y, charts.looks(list(names)), names)
    if mark is not None:
        axes.axhline(scale * mark, color=charts.INK, linewidth=0.5, alpha=0.5, zorder=1)
    axes.set_ylabel(y.replace("_", " ") + " (%)" * analyses.percent(y, metric))
    limits(axes, ylim, drawn[y].min() >= 0)
    endings.name_lines(figure, axes, ends)
    return figure, means


def chosen(table: pd.DataFrame, column: str, wanted: Sequence[str]) -> pd.DataFrame:
    """Return the rows with some words in a column; raises UsageError for one that no row has."""
    there = list(table[column].unique()) if column in table else []
    if unknown := [word for word in wanted if word not in there]:
        raise UsageError(
            f"analysis: no row has {column}={unknown[0]} (there are: {', '.join(there) or 'none'})"
        )
    return table[table[column].isin(wanted)]


def of_settings(table: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """Return what was found under settings with some words; raises UsageError for several."""
    fits = [all(word in text.split() for word in wanted) for text in table["settings"]]
    found = table[fits]
    there = list((found if len(found) else table)["settings"].unique())
    if len(there) > 1 or not len(found):
        words = [set(text.split()) for text in there]
        first = sorted(words[0] - set.union(*words[1:])) if len(words) > 1 else sorted(words[0])
        which = "with these settings" if wanted and not len(found) else "under several settings"
        raise UsageError(
            f"analysis: it was asked {which} ({'; '.join(there[:4])}); type settings=[{first[0]}]"
        )
    return found


def told_apart(table: pd.DataFrame, x: str) -> pd.DataFrame:
    """Return rows with their line, in the words in which they differ; each replicate once a place.

    What configs share, as a dense net, is one row. Raises UsageError where a place still has
    several of one replicate.
    """
    numbers = [c for c in table.select_dtypes("number") if c not in ("replicate", "density")]
    same = [c for c in (*numbers, "mask", "layer", "replicate") if c in table]
    kept = (100 * table["density"]).map(lambda share: f"{charts.short(share)} %")
    table = table.assign(kept=kept)
    if "step" in table:
        table["begins"] = table["step"].map("{:g}it".format)
    parts = ["series"] if x == "density" else [*WHOSE, "kept", *["begins"] * (x == "alpha")]
    parts.append("mask")
    for more in ((), ("series",)) if x == "step" else ((), ("begins",), ("begins", "series")):
        words = dict.fromkeys([*parts, *more])
        some = [c for c in words if c in table and table[c].nunique() > 1]
        line = table[some].agg(" ".join, axis=1) if some else table["series"].iloc[0]
        found = table.assign(line=line)
        found = found.drop_duplicates([*same, "line"])
        place = ["line", "level", x, "replicate"] if x == "density" else ["line", x, "replicate"]
        if not found.duplicated(place).any():
            return found
    raise UsageError(
        "analysis: several runs of one replicate stand at one place; name runs, or narrow: "
        f"{trends.narrower(table)}"
    )


def prepare(axes: Axes, table: pd.DataFrame, x: str) -> None:
    """Make the axis of x."""
    if x == "density":
        charts.logarithmic(axes, "x", table[x], flip=True)
    elif x == "step":
        charts.thousands(axes.xaxis)
    axes.set_xlabel(AXES[x])


def limits(axes: Axes, ylim: Sequence[float], from_zero: bool) -> None:
    """Let y go from 0 where nothing is below, or between the ends that are asked for."""
    if len(ylim) == 2 and all(map(math.isfinite, ylim)):
        axes.set_ylim(*ylim)
    elif ylim:
        raise UsageError(f"ylim: {list(ylim)} are not two numbers, as in ylim=[0,10]")
    elif from_zero:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.set_ylim(bottom=0.0)

"""Learning curves: a line a level of one experiment, or a line a method at one density."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lottery.errors import UsageError
from lottery.results.plotting import charts, columns, endings, trends
from lottery.results.plotting.endings import End
from lottery.results.plotting.source import Chart, Source

EARLY = 0.1  # of training
FLAT = 3  # how many times as high the axis would be with that
NEAR = 0.05  # a share by which a level may be off the density that is asked for
DENSE, ENDS = "dense", ("low", "high")
LINES = 12  # more levels than these are thinned out


def curves(
    runs: Source, *, x: str, y: str, level: list[int], at: float, control: str, every: bool,
    ylim: list[float],
) -> Chart:  # fmt: skip
    """Draw `y` against the steps of one experiment, a line a level, means over replicates.

    Of several experiments, at a density `at` or at one `level`, a line each with its 95 % interval,
    beside the dense net if they share it. Raises UsageError for several without either, and for
    what the curves do not have.
    """
    if x not in ("step", "epoch"):
        raise UsageError(f"curves: x={x} is neither step nor epoch")
    y = runs.column(y, "curves")
    table = trends.rows_of(runs.curves, "curves", "learning curve")
    several = table["series"].nunique() > 1
    if several and not at and len(level) != 1:
        way = "type at=0.2 or level=[3] to lay one over another, or "
        trends.few(table, "series", "curves", 1, way)
    trends.need(table, y, "curves", "y")
    there = [str(branch) for branch in table["branch"].unique() if branch]
    if control and control not in there:
        raise UsageError(
            f"curves: no run has a branch '{control}' (there are: {', '.join(there) or 'none'})"
        )
    table = table[table["branch"] == control].dropna(subset=[y])
    table = trends.complete(table.assign(line=table["series"]), runs, every)
    if at or several:
        return overlaid(runs, table, x, y, level, at, control, ylim)
    chosen = picked(sorted(table["level"].unique()), level)
    source = runs.branches[runs.branches["branch"] == control] if control else runs.levels
    densities = source.groupby("level")["density"].mean()
    means = trends.summary(
        table[table["level"].isin(chosen)], ["series", "level", "step", "epoch"], [y], runs.metrics
    )
    means.insert(2, "density", means["level"].map(densities))
    same(runs, densities[chosen])
    trends.note_begin(source[source["level"].isin(chosen)], runs, f"{x}s are those of the schedule")
    finite = trends.finite(means.assign(line=means["series"]), y, runs, "curves")
    return drawn(finite, x, y, ylim or settled(runs, finite, y), runs), means


def overlaid(
    runs: Source, table: pd.DataFrame, x: str, y: str, level: list[int], at: float, control: str,
    ylim: list[float],
) -> Chart:  # fmt: skip
    """Return learning curves of one level of each experiment, over each other."""
    levels = runs.branches[runs.branches["branch"] == control] if control else runs.levels
    trends.few(table, "series", "curves")
    parts = []
    for name, own in table.groupby("series", sort=False):
        densities = levels[levels["series"] == name].groupby("level")["density"].mean()
        densities = densities[densities.index.isin(own["level"].unique())]
        wanted = chosen_level(densities, level, at)
        if wanted is None:
            where = f"near density {at:g}" if at else f"{level[0]}"
            runs.note(f"{name}: left out, it has no level {where}")
        else:
            parts.append(own[own["level"] == wanted].assign(density=densities[wanted]))
    if not parts:
        raise UsageError(f"curves: no run has a level {f'near at={at:g}' if at else level[0]}")
    rows = pd.concat(parts, ignore_index=True)
    begun = levels.merge(rows[["series", "level"]].drop_duplicates())
    trends.note_begin(begun, runs, f"{x}s are those of the schedule")
    dense = runs.levels.assign(branch="", line=runs.levels["series"])
    if (rows["density"] < 1).all() and len(trends.dense_nets(dense)) == 1:
        first = runs.curves[(runs.curves["level"] == 0) & (runs.curves["branch"] == "")]
        first = first.drop_duplicates(["replicate", "step"]).dropna(subset=[y])
        rows = pd.concat([rows, first.assign(line=DENSE, density=1.0)], ignore_index=True)
    means = trends.summary(rows, ["line", "level", "density", "step", "epoch"], [y], runs.metrics)
    finite = trends.finite(means, y, runs, "curves")
    limits = ylim or settled(runs, finite, y)
    return over(columns.in_percent(finite, ["density", y], runs.metrics), x, y, limits, runs), means


def chosen_level(
    densities: "pd.Series[float]", level: list[int], at: float
) -> int | None:
    """Return the level that is asked for, or that is nearest to a density; None where none is."""
    if not at:
        return level[0] if level[0] in densities.index else None
    close = densities[(densities - at).abs() <= NEAR * at]
    return min(close.index, key=lambda n: abs(close[n] - at), default=None)


def over(table: pd.DataFrame, x: str, y: str, ylim: list[float], runs: Source) -> Figure:
    """Return the figure of means that lie over each other, the colour of a line its experiment."""
    figure, axes = charts.canvas()
    names = [name for name in table["line"].unique() if name != DENSE]
    styles = charts.looks(names)
    ends = []
    for name, part in table.groupby("line", sort=False):
        part = part.sort_values(x)
        look = styles.get(str(name))
        colour, dashes = (look.colour, look.dashes) if look else (charts.INK, (0, (4, 2)))
        axes.plot(part[x], part[y], color=colour, linestyle=dashes, label=str(name), zorder=3)
        low, high = (part[f"{y}_{end}"].clip(*columns.bounds(y, runs.metrics)) for end in ENDS)
        axes.fill_between(part[x], low, high, color=colour, alpha=0.15, linewidth=0, zorder=2)
        ends.append(End(str(name), float(part[x].iloc[-1]), float(part[y].iloc[-1]), colour))
    x_axis(axes, x)
    charts.y_axis(axes, y, ylim, runs.metrics)
    endings.name_lines(figure, axes, ends)
    return figure


def x_axis(axes: Axes, x: str) -> None:
    """Label the steps or epochs."""
    axes.set_xlabel(columns.words(x))
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=x == "step", min_n_ticks=1))
    axes.margins(x=0.02)


def picked(there: list[int], wanted: list[int]) -> list[int]:
    """Return the levels to draw: those wanted, else all, or the ends and some evenly between."""
    missing = [level for level in wanted if level not in there]
    if missing:
        known = ", ".join(map(str, there))
        raise UsageError(f"curves: level={missing[0]} is not finished (there are: {known})")
    if wanted or len(there) <= LINES:
        return wanted or there
    return [there[round(place)] for place in np.linspace(0, len(there) - 1, LINES)]


def same(runs: Source, densities: "pd.Series[float]") -> None:
    """Note the levels whose lines have one colour, since they keep as much."""
    for _, alike in densities.groupby(densities):
        if len(alike) > 1:
            levels = ", ".join(str(level) for level in alike.index)
            runs.note(f"levels {levels} keep as much as each other, so their colour is one")


def settled(runs: Source, means: pd.DataFrame, y: str) -> list[float]:
    """Return the ends of y without the first steps, where they would flatten all the rest."""
    late = means[means["step"] > EARLY * means["step"].max()][y]
    low, high, whole = late.min(), late.max(), means[y].max() - means[y].min()
    room = 0.06 * (high - low)
    if not room or whole < FLAT * (high - low):
        return []
    scale = 100 if columns.is_share(y, runs.metrics) else 1
    least, most = columns.bounds(y, runs.metrics)
    ends = [round(end, 4) for end in (max(scale * (low - room), least), scale * (high + room))]
    bottom = least if math.isfinite(least) else charts.shown(means[y].min())
    top = most if math.isfinite(most) else charts.shown(1.05 * means[y].max())
    runs.note(
        "y is cut to what comes after the first tenth of training "
        f"(ylim=[{bottom:g},{top:g}] shows all)"
    )
    return ends


def drawn(means: pd.DataFrame, x: str, y: str, ylim: list[float], runs: Source) -> Figure:
    """Return the figure of the means, the colour of a line its density."""
    table = columns.in_percent(means, ["density", y], runs.metrics)
    figure, axes = charts.canvas()
    low, high = table["density"].min(), table["density"].max()
    bottom = low if low < high else low / 2
    colours = ScalarMappable(
        LogNorm(bottom, high),
        LinearSegmentedColormap.from_list("density", charts.RAMP[::-1]),
    )
    falling = table.sort_values(["density", "level"], ascending=[True, False], kind="stable")
    for _, part in falling.groupby("level", sort=False):
        (colour,) = colours.to_rgba(part["density"].to_numpy()[:1])
        axes.plot(part[x], part[y], color=colour)
    x_axis(axes, x)
    charts.y_axis(axes, y, ylim, runs.metrics)
    bar = figure.colorbar(colours, ax=axes, aspect=30, pad=0.02)
    bar.outline.set_visible(False)
    charts.logarithmic(bar.ax, "y", [low, high], flip=True)
    bar.ax.set_ylim(high, bottom)
    bar.set_label("weights kept (%)")
    return figure

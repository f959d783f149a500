"""A number a layer and level, as a heat map: the densities above all."""

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from lottery.results.plotting import charts, columns, trends
from lottery.results.plotting.source import Chart, Source

ROW = 0.17  # inches
WORDED = 10  # columns that have room for numbers in their cells
TALLEST = 9.0  # inches


def layers(runs: Source, *, value: str, every: bool) -> Chart:
    """Draw `value` of every layer at every level of one experiment, means over replicates.

    Raises UsageError for several experiments, and for a column that layers.csv does not have.
    """
    table = trends.rows_of(runs.layers, "layers", "table of layers")
    trends.few(table, "series", "layers", most=1)
    trends.need(table, value, "layers", "value")
    table = trends.complete(table.assign(line=table["series"]), runs, every)
    means = trends.summary(table, ["series", "level", "layer"], [value])
    densities = runs.levels.groupby("level")["density"].mean()
    means.insert(2, "net_density", means["level"].map(densities))
    order = list(dict.fromkeys(table["layer"]))
    grid = means.pivot(index="layer", columns="level", values=value).loc[order]
    return drawn(grid, densities, value), means


def drawn(grid: pd.DataFrame, densities: "pd.Series[float]", value: str) -> Figure:
    """Return the heat map: layers from input to output downwards, levels from dense to sparse."""
    figure = Figure()
    wide = figure.get_figwidth()
    figure.set_size_inches(wide, min(ROW * len(grid) + 0.8, TALLEST))
    axes = figure.subplots()
    cells = (100 if columns.is_share(value) else 1) * grid.to_numpy(float)
    axes.set_facecolor("none")
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(np.where(cells > 0, cells, np.nan) if logs(value, cells) else cells),
        norm=scale(value, cells), cmap=charts.MAP, edgecolors="none",
    )  # fmt: skip
    axes.invert_yaxis()
    charts.bare(axes)
    shown = [charts.short(100 * densities[level]) for level in grid.columns]
    if len(set(shown)) < len(shown):
        shown = [f"{word}\nlevel {level}" for word, level in zip(shown, grid.columns, strict=True)]
    step = -(-len(shown) // (2 * WORDED if wide > 5 else WORDED))
    axes.set_xticks(np.arange(len(shown))[::step] + 0.5, shown[::step])
    every = -(-len(grid) // int((TALLEST - 0.8) / 0.11))
    axes.set_yticks(np.arange(len(grid))[::every] + 0.5, list(grid.index)[::every], fontsize=6)
    axes.set_xlabel("weights kept in the whole net (%)")
    heading = "weights kept in each layer (%)" if value == "density" else columns.words(value)
    axes.set_title(heading, loc="left")
    if step == every == 1:
        charts.cell_words(axes, mesh, cells)
        return figure
    bar = figure.colorbar(mesh, ax=axes, aspect=25, pad=0.02, fraction=0.05)
    bar.outline.set_visible(False)
    if logs(value, cells):
        some = cells[cells > 0]
        charts.logarithmic(bar.ax, "y", some)
        bar.ax.set_ylim(some.min(), some.max())
    return figure


def logs(value: str, cells: np.ndarray) -> bool:
    """Say whether colours are on a logarithmic scale: densities that differ."""
    some = cells[np.isfinite(cells) & (cells > 0)]
    return value == "density" and len(some) > 0 and bool(some.min() < some.max())


def scale(value: str, cells: np.ndarray) -> Normalize:
    """Return how values become colours."""
    some = cells[np.isfinite(cells) & (cells > 0)] if logs(value, cells) else cells
    low, high = float(np.nanmin(some)), float(np.nanmax(some))
    if logs(value, cells):
        return LogNorm(low, high)
    return Normalize(low if low < high else min(0.0, low), high)  # what is all one is bright

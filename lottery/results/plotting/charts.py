"""What the figures share: style, colours, axes, and means with their intervals. No torch."""

import itertools
import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
)

from lottery.errors import UsageError
from lottery.results.plotting import columns
from lottery.results.plotting.looks import CLEAR as CLEAR
from lottery.results.plotting.looks import COLOURS as COLOURS
from lottery.results.plotting.looks import DASHES as DASHES
from lottery.results.plotting.looks import MARKERS as MARKERS
from lottery.results.plotting.looks import SERIES as SERIES
from lottery.results.plotting.looks import Look as Look
from lottery.results.plotting.sheet import SHEET
from lottery.results.plotting.sheet import canvas as canvas
from lottery.results.plotting.sheet import looks as looks
from lottery.terms.metric import LOSS, measured

INK = "#000000"  # text, axes and what is dense; inside a page it takes the colour of the text
RAMP = ("#0072B2", "#B0609E", "#E69F00")  # of lines: darker when denser, seen on light and dark
NONE = (0.0, 0.0, 0.0, 0.0)
MAP = "viridis"  # of cells: even to the eye, in grey too
LETTER = 0.058  # inches, of a legend
HANDLE = 8  # letters that the line before a name takes
COLUMNS = 3
LINE = 0.145  # inches, of a line of a legend
GIVEN = 2  # lines of a legend that a figure has room for as it is
NICE = ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1,))  # digits of tick labels, as many as have room
ROOM = 0.02  # of an axis, beyond where values end, so that a marker there is whole
CLOSE, LETTERS = 0.12, 4  # tick labels of so many letters nearer than this share of an axis touch
WIDER = 0.4  # of that, for each letter more
STYLE: dict[str, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same letters everywhere
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "text.parse_math": False,  # a run may be called a$b
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.4,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.03,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.dpi": 300,  # as it is written, so that the layout fits the letters to the pixel
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # whole TrueType letters, which journals ask for
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "lottery",  # the same ids each time
}


def legend(figure: Figure, axes: Axes) -> None:
    """Put a legend above the axes, where it covers nothing, in as many columns as have room.

    The figure grows by the lines of it that are more than two, so that the axes keep their height.
    A panel has none: the legend of its sheet says it.
    """
    if SHEET.get() is None:
        legend_of(figure, *axes.get_legend_handles_labels())


def legend_of(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Put a legend of these lines above all axes of a figure; none of no lines."""
    if not handles:
        return
    room = int(figure.get_figwidth() / LETTER)
    names = [textwrap.fill(name, room - HANDLE) for name in names]
    longest = max(len(line) for name in names for line in name.splitlines())
    across = max(1, min(room // (longest + HANDLE), len(names), COLUMNS))
    across = math.ceil(len(names) / math.ceil(len(names) / across))  # four are two and two
    figure.legend(handles, names, loc="outside upper center", ncols=across)
    down = max(sum(name.count("\n") + 1 for name in names) / across, math.ceil(len(names) / across))
    figure.set_figheight(figure.get_figheight() + LINE * max(0, math.ceil(down) - GIVEN))


def inches(axes: Axes) -> float:
    """Return how wide the figure of axes is, or their panel."""
    sheet = SHEET.get()
    return float(axes.figure.bbox.width / axes.figure.dpi) / (sheet.columns if sheet else 1)


def logarithmic(
    axes: Axes, which: Literal["x", "y"], values: Iterable[float], flip: bool = False
) -> None:
    """Make an axis logarithmic: the ends of `values` labelled as they are, round ones between."""
    some = sorted({float(v) for v in values if v > 0 and math.isfinite(v)})
    low, high = some[0], some[-1]
    room = (high / low) ** 0.04 if high > low else 1.1
    ticks = ticks_between(low, high)
    ends = (low / room, high * room)
    axes.set(**{f"{which}scale": "log", f"{which}lim": ends[::-1] if flip else ends})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter([short(t) for t in ticks]))
    axis.set_minor_locator(NullLocator())


def with_zero(axes: Axes, values: Iterable[float]) -> None:
    """Make x logarithmic from the lowest of `values`, all above 0, on, with a place for 0."""
    low, high = min(values), max(values)
    axes.set_xscale("symlog", linthresh=low, linscale=0.35)
    axes.set_xlim(-0.25 * low, high * (high / low) ** 0.05)
    ticks = [0.0, *ticks_between(low, high)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([short(t) for t in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def ticks_between(low: float, high: float) -> list[float]:
    """Return both ends, and as many round numbers between them as do not touch each other."""
    if high <= low:
        return [low]
    reach = math.log(high / low)

    def apart(a: float, b: float) -> bool:
        letters = (len(short(a)) + len(short(b))) / 2
        return math.log(b / a) > CLOSE * max(1, 1 + WIDER * (letters - LETTERS)) * reach

    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    grids = [(digits, 1) for digits in NICE] + [((1,), every) for every in range(2, last - first)]
    for digits, every in grids:
        round_ones = [d * 10.0**e for e in range(first, last + 1) if e % every == 0 for d in digits]
        inner = [t for t in round_ones if low < t < high and apart(low, t) and apart(t, high)]
        if all(itertools.starmap(apart, itertools.pairwise(inner))):
            return [low, *inner, high]
    return [low, high]


def short(value: float) -> str:
    """Return a number for a tick label: 1.2M."""
    for power, letter in ((15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10.0**power:
            return f"{shown(value / 10**power):g}{letter}"
    return f"{shown(value):g}"


def shown(value: float) -> float:
    """Return a number with the three digits that a label has room for."""
    return float(f"{value:.3g}")


def density_axis_of(x: str, figure: str) -> Callable[[Axes, pd.DataFrame], None]:
    """Return what makes x the density in per cent, dense left and sparse right, or the compression.

    Raises UsageError for another `x`.
    """
    if x not in ("density", "compression"):
        raise UsageError(f"{figure}: x={x} is neither density nor compression")

    def prepare(axes: Axes, table: pd.DataFrame) -> None:
        logarithmic(axes, "x", table[x], flip=x == "density")
        kept, times = "weights kept (%)", "compression (times fewer weights)"
        axes.set_xlabel(kept if x == "density" else times)

    return prepare


def y_axis(
    axes: Axes,
    column: str,
    limits: Sequence[float] = (),
    metrics: columns.Metrics = columns.CLASSIFICATION,
) -> None:
    """Label y, from 0 on and accuracies up to 100 %, or between `limits` where they are given.

    A marker at 0 or 100 % is seen whole. What is averaged by its logarithms stands on those. An
    arrow says of a metric that less of it is better.
    """
    found = measured(column, metrics)
    down = found is not None and not found.metric.higher and found.metric != LOSS
    axes.set_ylabel(columns.words(column, metrics) + " ↓" * down)
    if len(limits) == 2 and all(map(math.isfinite, limits)):
        axes.set_ylim(*limits)
    elif limits:
        raise UsageError(f"ylim: {list(limits)} are not two numbers, as in ylim=[90,100]")
    else:
        low, high = axes.get_ylim()
        least, most = columns.bounds(column, metrics)
        beyond = ROOM * (min(high, most) - max(low, least))
        axes.set_ylim(max(low, least - beyond), min(high, most + beyond))
    axes.ticklabel_format(axis="y", useOffset=False)
    low, high = axes.get_ylim()
    seen = [low, high] if limits else [max(low, axes.dataLim.minposy), min(high, axes.dataLim.y1)]
    if columns.by_logarithm(column, metrics) and 0 < seen[0] < seen[1] < math.inf:
        logarithmic(axes, "y", seen)
        axes.set_ylim(*([low, high] if limits else axes.get_ylim()))
    if column.endswith("step"):
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def bare(axes: Axes) -> None:
    """Leave a heat map without frame and tick marks."""
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def thousands(axis: Axis) -> None:
    """Label large numbers shortly: 20k."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def cell_words(
    axes: Axes, mesh: QuadMesh, cells: np.ndarray, reach: np.ndarray | None = None
) -> None:
    """Write the number into every cell of a heat map, dark on light and light on dark.

    0 is written too, where the map has no colour for it; `reach` is half an interval, NaN for none.
    """
    for (row, column), value in np.ndenumerate(cells):
        if math.isfinite(value):
            half = math.nan if reach is None else reach[row, column]
            text = short(value) + ("" if math.isnan(half) else f"\n\N{PLUS-MINUS SIGN} {half:.2g}")
            cell_word(axes, mesh, (row, column), value, text)


def cell_word(axes: Axes, mesh: QuadMesh, cell: tuple[int, int], value: Any, text: str) -> None:
    """Write a text into the cell (row, column) of a heat map that has a value's colour."""
    red, green, blue, alpha = mesh.cmap(mesh.norm(value)) if value or not_log(mesh) else NONE
    bright = 0.299 * red + 0.587 * green + 0.114 * blue
    colour = INK if not alpha else "#ffffff" if bright < 0.5 else "#101010"
    y, x = cell
    axes.text(x + 0.5, y + 0.5, text, color=colour, fontsize=6, ha="center", va="center")


def not_log(mesh: QuadMesh) -> bool:
    """Say whether a map has a colour for 0."""
    return not isinstance(mesh.norm, LogNorm)

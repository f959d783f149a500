"""What the figures share: style, colours, axes, and means with their intervals. No torch."""

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, NullLocator

from lottery.errors import UsageError

INK = "#000000"  # text, axes and what is dense; inside a page it takes the colour of the text
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2)), (0, (3, 1)))
SERIES = len(COLOURS)  # more lines than these cannot be told apart
RAMP = ("#0072B2", "#B0609E", "#E69F00")  # of lines: darker when denser, seen on light and dark
NONE = (0.0, 0.0, 0.0, 0.0)
MAP = "viridis"  # of cells: even to the eye, in grey too
LETTER = 0.058  # inches, of a legend
HANDLE = 8  # letters that the line before a name takes
COLUMNS = 3
NICE = ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1,))  # digits of tick labels, as many as have room
CLOSE = 0.12  # tick labels nearer to each other than this share of an axis would touch
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


@dataclass(frozen=True)
class Look:
    """How one line of a figure looks: colour, marker and dashes, each enough by itself."""

    colour: str
    marker: str
    dashes: Any


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return how each of at most `SERIES` lines looks."""
    kinds = zip(COLOURS, MARKERS, DASHES, strict=True)
    return {name: Look(*kind) for name, kind in zip(names, kinds, strict=False)}


def legend(figure: Figure, axes: Axes) -> None:
    """Put a legend above the axes, where it covers nothing, in as many columns as have room."""
    handles, names = axes.get_legend_handles_labels()
    if not handles:
        return
    room = int(figure.get_figwidth() / LETTER)
    names = [textwrap.fill(name, room - HANDLE) for name in names]
    longest = max(len(line) for name in names for line in name.splitlines())
    columns = max(1, min(room // (longest + HANDLE), len(names), COLUMNS))
    figure.legend(handles, names, loc="outside upper center", ncols=columns)


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


def ticks_between(low: float, high: float) -> list[float]:
    """Return both ends, and as many round numbers between them as do not touch each other."""
    if high <= low:
        return [low]
    reach = math.log(high / low)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    grids = [(digits, 1) for digits in NICE] + [((1,), every) for every in range(2, last - first)]
    for digits, every in grids:
        round_ones = [d * 10.0**e for e in range(first, last + 1) if e % every == 0 for d in digits]
        inner = [t for t in round_ones if CLOSE < math.log(t / low) / reach < 1 - CLOSE]
        if min(np.diff(np.log(inner)), default=reach) > CLOSE * reach:
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


def is_share(column: str) -> bool:
    """Say whether a column holds shares of 1, which people read as per cent."""
    return column.removesuffix("_low").removesuffix("_high").endswith(("accuracy", "density"))


WORDS = {
    "test_accuracy": "test accuracy",
    "val_accuracy": "validation accuracy",
    "train_accuracy": "training accuracy",
    "best_test_accuracy": "test accuracy at early stop",
    "best_val_accuracy": "validation accuracy at early stop",
    "best_step": "early-stop step",
    "test_loss": "test loss",
    "val_loss": "validation loss",
    "train_loss": "training loss",
    "best_val_loss": "lowest validation loss",
    "step": "training step",
    "epoch": "epoch",
    "lr": "learning rate",
    "effective_density": "effective density",
    "macs": "multiply-accumulates an example, dense",
    "macs_kept": "multiply-accumulates an example",
    "training_macs": "multiply-accumulates of training, dense",
    "training_macs_kept": "multiply-accumulates of training",
    "steps": "training steps of the level",
    "examples": "examples of the level",
    "seconds": "seconds of training the level",
    "energy": "energy of training the level (J, estimate)",
    "ticket_macs": "multiply-accumulates, search included, dense",
    "ticket_macs_kept": "multiply-accumulates, search included",
    "ticket_steps": "training steps, search included",
    "ticket_examples": "examples seen, search included",
    "ticket_seconds": "seconds, search included",
    "ticket_energy": "energy, search included (J, estimate)",
}


def words(column: str) -> str:
    """Return a column's name for an axis."""
    text = WORDS.get(column, column.replace("_", " "))
    return f"{text} (%)" if is_share(column) else text


def y_axis(axes: Axes, column: str, limits: Sequence[float] = ()) -> None:
    """Label y, from 0 on and accuracies up to 100 %, or between `limits` where they are given."""
    axes.set_ylabel(words(column))
    if len(limits) == 2:
        axes.set_ylim(*limits)
    elif limits:
        raise UsageError(f"ylim: {list(limits)} are not two numbers, as in ylim=[90,100]")
    else:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0.0), min(high, 100.5) if is_share(column) else high)
    axes.ticklabel_format(axis="y", useOffset=False)


def in_percent(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Return a table for drawing, in which columns of shares are per cent."""
    drawn = table.copy()
    for column in dict.fromkeys(columns):
        for each in (column, f"{column}_low", f"{column}_high"):
            if each in drawn and is_share(column):
                drawn[each] = 100 * drawn[each]
    return drawn


def bare(axes: Axes) -> None:
    """Leave a heat map without frame and tick marks."""
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def thousands(axis: Axis) -> None:
    """Label large numbers shortly: 20k."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def cell_words(axes: Axes, mesh: QuadMesh, cells: np.ndarray, digits: int | None = None) -> None:
    """Write the number into every cell of a heat map, dark on light and light on dark.

    0 is written too, where the map has no colour for it.
    """
    for (row, column), value in np.ndenumerate(cells):
        if not math.isfinite(value):
            continue
        red, green, blue, alpha = mesh.cmap(mesh.norm(value)) if value or not_log(mesh) else NONE
        bright = 0.299 * red + 0.587 * green + 0.114 * blue
        colour = INK if not alpha else "#ffffff" if bright < 0.5 else "#101010"
        text = short(value) if digits is None else f"{value:.{digits}f}"
        axes.text(column + 0.5, row + 0.5, text, color=colour, fontsize=6, ha="center", va="center")


def not_log(mesh: QuadMesh) -> bool:
    """Say whether a map has a colour for 0."""
    return not isinstance(mesh.norm, LogNorm)

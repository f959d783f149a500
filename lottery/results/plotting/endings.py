"""Name lines where they end, beside the axes, or in a legend where names do not fit there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from lottery.results.plotting import charts
from lottery.results.plotting.sheet import SHEET

ASIDE = 9 / 72  # inches, from the axes to the names
WIDEST = 0.36  # of a figure, that names may take
NEAR = 0.72  # of the axes, beyond which a line ends at the right


@dataclass(frozen=True)
class End:
    """Where a line ends, in data coordinates, its name and its colour."""

    name: str
    x: float
    y: float
    colour: str


def name_lines(figure: Figure, axes: Axes, ends: Sequence[End]) -> None:
    """Write each name beside the axes at the height of its line's end, none over another.

    A leader in the line's colour joins them. Where a name is too long, the names are too many or a
    line ends far from the others, there is a legend instead.
    """
    ends = [end for end in ends if math.isfinite(end.y)]
    if not ends or SHEET.get() or not all(at_right(axes, end) for end in ends):
        return charts.legend(figure, axes)
    written = [write(axes, end) for end in ends]
    figure.draw_without_rendering()  # so that the axes have their place
    boxes = [text.get_window_extent() for text in written]
    frame = axes.get_window_extent()
    line = max(box.height for box in boxes)
    room = frame.height + line  # half a line over either end
    if max(box.width for box in boxes) > WIDEST * figure.bbox.width or line * len(ends) > room:
        for text in written:
            text.remove()
        return charts.legend(figure, axes)
    heights = axes.transData.transform([(end.x, end.y) for end in ends])[:, 1]
    heights = np.where(heights < frame.y0, frame.y0 + line, heights)  # room to point down, or up
    heights = np.where(heights > frame.y1, frame.y1 - line, heights)
    heights = apart(heights, line, frame.y0, frame.y1)
    for end, text, height in zip(ends, written, heights, strict=True):
        text.set_y(axes.transData.inverted().transform((frame.x0, height))[1])
        figure.add_artist(leader(axes, end, text))
    return None


def at_right(axes: Axes, end: End) -> bool:
    """Say whether a line ends near the right edge of the axes."""
    across = axes.transData.transform((end.x, end.y))[0]
    return bool(axes.transAxes.inverted().transform((across, 0))[0] >= NEAR)


def write(axes: Axes, end: End) -> Text:
    """Write a name at the height of its line's end, or at the edge behind which that is."""
    aside = axes.transAxes + ScaledTranslation(ASIDE, 0, axes.figure.dpi_scale_trans)
    across = blended_transform_factory(aside, axes.transData)
    return axes.text(1.0, seen(axes, end), end.name, transform=across, va="center", fontsize=7)


def leader(axes: Axes, end: End, text: Text) -> ConnectionPatch:
    """Return what joins a name to the end of its line: an arrow, where that is out of sight."""
    there = (end.x, seen(axes, end))
    style = "-" if there[1] == end.y else "-|>,head_width=1.2,head_length=2.4"
    return ConnectionPatch(
        text.get_position(), there, text.get_transform(), axes.transData, color=end.colour,
        arrowstyle=style, linewidth=0.6, shrinkA=2, shrinkB=2, mutation_scale=1,
    )  # fmt: skip


def seen(axes: Axes, end: End) -> float:
    """Return the height of a line's end, or of the edge of the axes behind which that is."""
    low, high = axes.get_ylim()
    return float(min(max(end.y, low), high))


def apart(
    heights: Sequence[float] | np.ndarray, line: float, low: float, high: float
) -> np.ndarray:
    """Return heights at least `line` apart, in the same order, as near to the given as can be.

    They stay between `low` and `high` where there is room: isotonic regression of what is left
    when each takes a line (pool adjacent violators).
    """
    order = np.argsort(heights, kind="stable")
    steps = line * np.arange(len(order))
    pools: list[list[float]] = []
    for value in np.asarray(heights, float)[order] - steps:
        pools.append([value])
        while len(pools) > 1 and np.mean(pools[-2]) >= np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    level = np.concatenate([np.full(len(pool), np.mean(pool)) for pool in pools])
    found = np.empty(len(order))
    found[order] = np.clip(level, low, max(low, high - steps[-1])) + steps
    return found

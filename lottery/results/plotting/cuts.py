"""Cut y where one line would squash the others, and say in the figure what is not shown."""

import math
import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from lottery.results.plotting import charts
from lottery.results.plotting.columns import bounds, in_points, is_share
from lottery.results.plotting.source import Source

SQUASHED = 6.0  # times as high as the others need, that an axis would have to be
LEAST = 2.0  # points of accuracy that the others are taken to need: less is no shape
ROOM = 0.06  # of what is shown, above and below it
SMALL = 6  # points, of the words above the axes
MARGIN = 10  # letters, left of the axes
SIDES = ((1, "below", "down"), (-1, "above", "up"))
Span = tuple[float, float]


def cut(axes: Axes, drawn: pd.DataFrame, y: str, dense: Sequence[float], runs: Source) -> None:
    """End y where half of the lines or more are seen whole, if another would squash them.

    `drawn` has the means of lines with their intervals, `dense` the dense nets, which are always
    seen, as is a mean beside which the others keep a shape. What lies beyond is said above the
    axes, and noted.
    """
    wide = {
        str(n): rows[[y, f"{y}_low", f"{y}_high"]] for n, rows in drawn.groupby("line", sort=False)
    }
    spans = [(own.min().min(), own.max().max()) for own in wide.values()]
    ends = bounds(y, runs.metrics)
    least = LEAST if math.isfinite(ends[1]) or in_points(y, runs.metrics) else 0.0
    unit = " %" if is_share(y, runs.metrics) else ""
    below = edge(spans, dense, least)
    above = edge([(-high, -low) for low, high in spans], [-one for one in dense], least)
    if math.isinf(below) and math.isinf(above):
        return
    whole = (min(low for low, _ in spans), max(high for _, high in spans))
    low, high = (
        below if below > -math.inf else whole[0],
        -above if above > -math.inf else whole[1],
    )
    means = [mean for own in wide.values() for mean in own[y]]  # which an interval hides from none
    near = SQUASHED * max(high - low, least)
    low = min([low, *(mean for mean in means if high - mean < near)])
    high = max([high, *(mean for mean in means if mean - low < near)])
    axes.set_ylim(low - ROOM * (high - low), high + ROOM * (high - low))
    lines = []
    for sign, where, way in SIDES:
        end = axes.get_ylim()[0 if sign > 0 else 1]
        gone = [beyond(own, y, sign, end, name, way, unit) for name, own in wide.items()]
        if said := ", ".join(filter(None, gone)):
            lines.append(f"not shown, {where} {number(end, unit)}: {said}")
            shown = ",".join(f"{v:.3g}" for v in (ends if math.isfinite(ends[1]) else whole))
            runs.note(f"y is cut; {lines[-1]} (ylim=[{shown}] shows all)")
    room = int(charts.inches(axes) / (charts.LETTER * SMALL / 7)) - MARGIN
    words = "\n".join(textwrap.fill(line, room) for line in lines)
    axes.set_title(words, fontsize=SMALL, loc="left")


def edge(spans: Sequence[Span], dense: Sequence[float], least: float) -> float:
    """Return the lowest of what is shown where the lines below it squash the others; -inf for none.

    As many lines as can be are kept, at least half of them.
    """
    spans = sorted(spans, reverse=True)
    for most in range(len(spans) - 1, math.ceil(len(spans) / 2) - 1, -1):
        kept = spans[:most]
        low, high = min([low for low, _ in kept] + [*dense]), max([h for _, h in kept] + [*dense])
        if high - spans[most][0] >= SQUASHED * max(high - low, least) and high > low:
            return low
    return -math.inf


def beyond(own: pd.DataFrame, y: str, sign: int, end: float, name: str, way: str, unit: str) -> str:
    """Return how far a line goes beyond an end of y, or the interval of one that does not."""
    mean, reach = ((sign * own[columns]).min().min() * sign for columns in ([y], [*own]))
    if sign * mean < sign * end:
        return f"{name} {way} to {number(mean, unit)}"
    return f"interval of {name} {way} to {number(reach, unit)}" if sign * reach < sign * end else ""


def number(value: float, unit: str) -> str:
    """Return a value of y in words."""
    return f"{charts.shown(value):g}{unit}"

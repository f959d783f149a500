"""Say on what a figure draws: a page of its own, or one panel of a sheet that has one legend."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lottery.errors import UsageError
from lottery.results.plotting import looks as single
from lottery.results.plotting.looks import SERIES, Look


@dataclass
class Sheet:
    """Several panels of one figure: a line of the same name looks the same in all of them."""

    figure: Figure
    columns: int
    axes: Axes | None = None  # of the panel that is drawn now; None once a figure has taken it
    places: dict[str, None] = field(default_factory=dict)  # names of lines, in order
    handles: dict[str, Any] = field(default_factory=dict)  # of the legend, by name


SHEET: ContextVar[Sheet | None] = ContextVar("sheet", default=None)


def canvas() -> tuple[Figure, Axes]:
    """Return a new figure with one pair of axes; in a sheet that of the sheet, and the panel."""
    sheet = SHEET.get()
    if sheet is None or sheet.axes is None:
        figure = Figure()
        return figure, figure.subplots()
    axes, sheet.axes = sheet.axes, None
    return sheet.figure, axes


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return how each of at most `SERIES` lines looks; in a sheet as in the panels before."""
    sheet = SHEET.get()
    if sheet is None:
        return single.looks(names)
    sheet.places |= dict.fromkeys(names)
    if len(sheet.places) > SERIES:
        raise UsageError(
            f"panels: {SERIES} lines at most can be told apart, and there are more; name some runs"
        )
    every = single.looks(list(sheet.places))
    return {name: every[name] for name in names}

"""Draw a figure as several panels, one for each value of a key or of two, under one legend."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lottery.errors import UsageError
from lottery.results.facts import Facts
from lottery.results.labels import called
from lottery.results.plotting import charts
from lottery.results.plotting.material import Material
from lottery.results.plotting.sheet import SHEET, Sheet
from lottery.results.plotting.source import Chart
from lottery.results.tidy import Runs
from lottery.wording.spelling import suggestion
from lottery.wording.text import printable

ACROSS, MOST = 3, 16  # panels in a line of one key; in all
SMALL = 6  # points, of a title with words below it
FLAT = 0.8  # height over width of a panel
OBVIOUS = ("model", "dataset", "method", "name", "id")  # keys whose values say what they are
Cell = tuple[int, int, str, list[Path]]  # row, column, title, runs


def in_panels(figure: str, function: Callable[..., Chart], runs: Runs, keys: Sequence[str]) -> Any:
    """Return a function that draws what `function` does of runs, a panel a value of the keys.

    Rows are the values of the first key and columns those of the second; of one key they follow
    each other, `ACROSS` in a line. Raises UsageError for a key that no run has, more than `MOST`
    panels and, when it is called, for a figure that is more than one pair of axes.
    """
    cells = list(cells_of([Facts(folder) for folder in runs.folders], keys))
    if len(cells) > MOST:
        raise UsageError(
            f"{figure}: panels={','.join(keys)}: {MOST} panels at most, and there are {len(cells)};"
            " name some runs"
        )
    rows, columns = 1 + max(row for row, *_ in cells), 1 + max(each[1] for each in cells)

    def draw(material: Material) -> Chart:
        page = Figure()
        grid = page.subplots(rows, columns, squeeze=False)
        page.set_figheight(rows * FLAT * page.get_figwidth() / columns)
        sheet = Sheet(page, columns)
        tables, drawn = [], {}
        token = SHEET.set(sheet)
        try:
            for row, column, title, folders in cells:
                own = Material(Runs(tuple(folders)))
                sheet.axes = axes = grid[row][column]
                try:
                    made, table = function(own)
                except UsageError as error:
                    raise UsageError(f"{error} (panel {title})") from error
                if made is not page:
                    raise UsageError(
                        f"{figure}: panels= is for figures of lines on one pair of axes, such as "
                        "accuracy, cost, early_stop, curves and sensitivity"
                    )
                collect(sheet, axes)
                for line in own.notes:
                    material.note(f"{title}: {line}")
                entitle(axes, title)
                tables.append(table.assign(panel=title))
                drawn[row, column] = axes
        finally:
            SHEET.reset(token)
        for place, axes in np.ndenumerate(grid):
            axes.set_visible(place in drawn)
        align({cell[:2]: cell[3] for cell in cells}, drawn)
        charts.legend_of(page, list(sheet.handles.values()), list(sheet.handles))
        return page, pd.concat(tables, ignore_index=True)

    return draw


def cells_of(facts: Sequence[Facts], keys: Sequence[str]) -> Iterator[Cell]:
    """Yield the panels: where each stands, its title and its runs."""
    if not 0 < len(keys) <= 2:
        raise UsageError(f"panels={','.join(keys)}: one key, or two: rows and columns")
    by: dict[tuple[str, ...], list[Path]] = {}
    for run in facts:
        by.setdefault(tuple(value_of(run, facts, key) for key in keys), []).append(run.folder)
    values = [list(dict.fromkeys(each)) for each in zip(*by, strict=True)]
    for found, folders in by.items():
        places = [own.index(value) for own, value in zip(values, found, strict=True)]
        row, column = places if len(keys) == 2 else divmod(places[0], ACROSS)
        said = [
            value if key in OBVIOUS else f"{called(key)} {value}"
            for key, value, own in zip(keys, found, values, strict=True)
            if len(own) > 1 or len(by) == 1
        ]
        yield row, column, printable(", ".join(said)), folders


def value_of(run: Facts, facts: Sequence[Facts], key: str) -> str:
    """Return what a run has for a key, in words; raises UsageError where no run has it."""
    if found := run.values(key):
        return str(found[0])
    if not any(each.values(key) for each in facts):
        known = dict.fromkeys(k for each in facts for k in each.keys)
        raise UsageError(f"panels={key}: no run has '{key}'{suggestion(key, known)}")
    return "-"


def collect(sheet: Sheet, axes: Axes) -> None:
    """Keep what the legend says of a panel, each name once."""
    for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
        sheet.handles.setdefault(name, handle)


def entitle(axes: Axes, title: str) -> None:
    """Write the title of a panel over what may stand there already."""
    before = axes.get_title(loc="left")
    size = SMALL if before else charts.STYLE["axes.titlesize"]
    axes.set_title(f"{title}\n{before}".rstrip(), loc="left", fontsize=size)


def align(folders: dict[tuple[int, int], list[Path]], drawn: dict[tuple[int, int], Axes]) -> None:
    """Let panels that measure the same have the same ends, and name an axis once a row or column.

    Those are panels of one data set, whose steps and values compare; y only where it is not cut.
    """
    data = {at: str(Facts(some[0]).whose["dataset"]) for at, some in folders.items()}
    for which in ("x", "y"):

        def kind(at: tuple[int, int], which: str = which) -> str:
            axes = drawn[at]
            about = [getattr(axes, f"get_{which}label")(), getattr(axes, f"get_{which}scale")()]
            cut = which == "y" and "\n" in axes.get_title(loc="left")
            return repr([*about, data[at], at if cut else ""])

        for _, same in groupby(sorted(drawn, key=kind), key=kind):
            together = [drawn[at] for at in same]
            limits = [getattr(axes, f"get_{which}lim")() for axes in together]
            if len({low < high for low, high in limits}) == 1:
                up = limits[0][0] < limits[0][1]
                outer, inner = (min, max) if up else (max, min)
                ends = outer(low for low, _ in limits), inner(high for _, high in limits)
                for axes in together:
                    getattr(axes, f"set_{which}lim")(*ends)
    across, up = ({at: get(axes) for at, axes in drawn.items()} for get in (Axes.get_xlabel,
                  Axes.get_ylabel))  # fmt: skip
    for (row, column), axes in drawn.items():
        if across.get((row + 1, column)) == across[row, column]:
            axes.set_xlabel("")
        if up.get((row, column - 1)) == up[row, column]:
            axes.set_ylabel("")

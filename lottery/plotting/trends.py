"""Turn tables of levels into lines with their intervals: what several figures draw. No torch."""

import math
import shlex
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from lottery import stats
from lottery.errors import UsageError
from lottery.plotting import charts
from lottery.plotting.charts import SERIES, Look
from lottery.plotting.source import Chart, Source

DENSITIES = ("density", "compression")
BANDS = 2  # lines whose intervals are bands; more of them would cover each other
APART = 1.3  # points of 1/72 inch, between the bars of two lines
WHO = ["line", "series", "name", "id", "branch"]  # of every row: which line it is on, and whose


def trend(
    runs: Source,
    figure: str,
    x: str,
    y: str,
    branch: Sequence[str],
    every: bool,
    prepare: Callable[[Axes, pd.DataFrame], None],
    ylim: Sequence[float],
) -> Chart:
    """Draw `y` against `x` over the levels, a line a series and branch, beside the dense nets.

    `prepare` makes the x axis, given the table of means, and is called before the lines are drawn.
    """
    levels = rows_of(runs.levels, figure)
    need(levels, x, figure, "x")
    need(levels, y, figure, "y")
    rows = lines_of(levels, runs.branches, branch, figure)
    rows = complete(rows.dropna(subset=[x, y]), runs, every)
    means = summary(rows, [*WHO, "level"], list(dict.fromkeys(["density", x, y])))
    drawing = Figure()
    axes = drawing.subplots()
    drawn = charts.in_percent(means, ["density", x, y])
    if charts.is_share(y):  # an interval knows nothing of 0 and 100 %
        drawn[f"{y}_low"], drawn[f"{y}_high"] = (
            drawn[f"{y}_{end}"].clip(0, 100) for end in ("low", "high")
        )
    prepare(axes, drawn)
    styles = charts.looks(list(drawn["line"].unique()))
    moved = shifts(len(styles), x in DENSITIES)
    if moved[0] is not None and len(dense_nets(rows)) == 1:
        at_dense = (drawn["density"] == 100) & (drawn["branch"] == "")
        drawn.loc[at_dense, [f"{y}_low", f"{y}_high"]] = float("nan")  # the band across says it
    for (name, look), shift in zip(styles.items(), moved, strict=True):
        draw_line(axes, drawn[drawn["line"] == name], x, y, look, name, shift)
    if any(moved) and (drawn["replicates"] > 1).any():
        runs.note("bars of one density stand side by side, so that none hides another")
    dense_lines(axes, rows, y, styles)
    charts.y_axis(axes, y, ylim)
    charts.legend(drawing, axes)
    return drawing, means


def rows_of(table: pd.DataFrame, figure: str, what: str = "finished level") -> pd.DataFrame:
    """Return a table that has rows; raises UsageError for one that has none."""
    if not len(table):
        raise UsageError(f"{figure}: these runs have no {what}")
    return table


def lines_of(
    levels: pd.DataFrame, branches: pd.DataFrame, wanted: Sequence[str], figure: str
) -> pd.DataFrame:
    """Return levels, and the branches that are asked for, with the line that each row is on.

    Raises UsageError for a branch that no run has, and for more lines than can be told apart.
    """
    rows = levels.assign(branch="", line=levels["series"])
    known = list(branches["branch"].unique()) if len(branches) else []
    for name in wanted:
        if name not in (*known, "all"):
            there = ", ".join(known) or "none"
            raise UsageError(f"{figure}: no run has a branch '{name}' (there are: {there})")
    if wanted and known:
        chosen = branches if "all" in wanted else branches[branches["branch"].isin(list(wanted))]
        alone = levels["series"].nunique() == 1
        line = chosen["branch"] if alone else chosen["series"] + ": " + chosen["branch"]
        rows = pd.concat([rows, chosen.assign(line=line)], ignore_index=True)
    few(rows, "line", figure)
    return rows


def few(table: pd.DataFrame, column: str, figure: str, most: int = SERIES) -> list[str]:
    """Return the distinct words of a column; raises UsageError where they are more than `most`."""
    names = [str(name) for name in table[column].unique()]
    if len(names) > most:
        shown = "; ".join(names[:4]) + ("; ..." if len(names) > 4 else "")
        ways = "one experiment" if most == 1 else f"{most} lines at most"
        raise UsageError(
            f"{figure}: shows {ways}, and there are {len(names)} ({shown}); name a RUN, or narrow: "
            f"{narrower(table)}"
        )
    return names


def narrower(table: pd.DataFrame) -> str:
    """Return a filter that leaves few series: of the columns in which they differ the shortest."""
    for column in ("method", "rewind", "model", "dataset", "name"):
        left = table[table[column] == table[column].iloc[0]]
        if left["series"].nunique() == 1:
            return f"{column}={shlex.quote(str(table[column].iloc[0]))}"
    return f"id={table['id'].iloc[0]}"


def need(table: pd.DataFrame, column: str, figure: str, setting: str) -> None:
    """Raise UsageError unless `table` has a column of numbers by that name, with one in it."""
    numbers = [c for c in table.select_dtypes("number") if c not in ("replicate", "level")]
    if column not in numbers:
        raise UsageError(
            f"{figure}: {setting}={column} is no column of numbers here (there are: "
            f"{', '.join(map(str, numbers))})"
        )
    if not table[column].notna().any():
        unsplit = column.startswith(("val_", "best_")) and not (
            "val_loss" in table and table["val_loss"].notna().any()
        )
        why = "since they have no validation split (dataset.validation=0)" if unsplit else ""
        raise UsageError(
            f"{figure}: these runs have no value of {column}{why and ', '}{why}; choose another "
            f"{setting}="
        )


def complete(rows: pd.DataFrame, runs: Source, every: bool) -> pd.DataFrame:
    """Return the rows of levels that every replicate of a line has, and note the others.

    Means over different replicates do not compare. With `every` False all rows are returned.
    """
    if not every:
        return rows
    there = rows.groupby(["line", "level"])["replicate"].transform("nunique")
    asked = rows.groupby("line")["replicate"].transform("nunique")
    for name, short in rows[there < asked].groupby("line", sort=False):
        levels = sorted(int(level) for level in short["level"].unique())
        named = ("level " if len(levels) == 1 else "levels ") + ", ".join(map(str, levels))
        runs.note(f"{name}: left out {named}, not in all replicates (every=false draws them too)")
    return rows[there == asked]


def at_level(levels: pd.DataFrame, level: int, figure: str) -> pd.DataFrame:
    """Return the rows of a level of one experiment; -1 is the last that all its replicates have.

    Raises UsageError for several experiments, and for a level that is not there.
    """
    few(rows_of(levels, figure), "series", figure, most=1)
    last = int(levels.groupby("replicate")["level"].max().min())
    found = levels[levels["level"] == (last if level == -1 else level)]
    if not len(found):
        raise UsageError(f"{figure}: level={level} is not finished; the last one is {last}")
    return found


def summary(table: pd.DataFrame, by: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Return mean and 95 % interval of each of `columns` over the rows that agree in `by`.

    The columns are NAME, NAME_low and NAME_high, and `replicates`, the number of rows.
    """
    found: list[dict[str, Any]] = []
    for key, rows in table.groupby([*by], sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(by, key, strict=True))
        row["replicates"] = len(rows)
        for column in columns:
            ends = stats.interval(rows[column].dropna().tolist())
            row |= dict(zip((column, f"{column}_low", f"{column}_high"), ends, strict=True))
        found.append(row)
    return pd.DataFrame(found)


def draw_line(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, look: Look, name: str, shift: float | None
) -> None:
    """Draw means with their intervals: `y` against `x`, as columns of `summary`.

    The intervals are a band, or with `shift` bars, moved by so many points of 1/72 inch so that
    none hides another; the means stand where they are.
    """
    across = rows[x].to_numpy(float)
    mean, low, high = (rows[c].to_numpy(float) for c in (y, f"{y}_low", f"{y}_high"))
    style: dict[str, Any] = {"color": look.colour, "linestyle": look.dashes, "zorder": 3}
    axes.plot(across, mean, marker=look.marker, markeredgewidth=0, label=name, **style)
    if shift is None:
        axes.fill_between(across, low, high, color=look.colour, alpha=0.18, linewidth=0, zorder=2)
    else:
        reach = [mean - low, high - mean]
        ends = [(a, e) for y in (low, high) for a, e in zip(across, y, strict=True)]
        axes.update_datalim(
            [end for end in ends if math.isfinite(end[1])] or [(across[0], mean[0])]
        )
        inches = axes.figure.dpi_scale_trans
        beside = axes.transData + ScaledTranslation(shift / 72, 0, inches)
        axes.errorbar(
            across, mean, reach, fmt="none", ecolor=look.colour, elinewidth=0.7, capsize=1.6,
            capthick=0.7, zorder=2, transform=beside,
        )  # fmt: skip


def shifts(lines: int, shared: bool) -> list[float | None]:
    """Return for each line by how many points its bars are moved; None for two, that bands suit.

    Where lines do not share their x, bars stay where they are.
    """
    if lines <= BANDS and shared:
        return [None] * lines
    if not shared:
        return [0.0] * lines
    return [APART * (number - (lines - 1) / 2) for number in range(lines)]


def dense_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of levels that are dense."""
    return rows[(rows["density"] == 1) & (rows["branch"] == "")].copy()


def dense_nets(rows: pd.DataFrame) -> list[tuple[set[str], set[str]]]:
    """Return the dense nets: the lines that share one, and its keys, one a replicate.

    Lines share a dense net where a level 0 of theirs has the same key.
    """
    found: list[tuple[set[str], set[str]]] = []
    for name, part in dense_of(rows).groupby("line", sort=False):
        names, keys = {str(name)}, set(part["key"])
        for other in [each for each in found if each[1] & keys]:
            found.remove(other)
            names, keys = names | other[0], keys | other[1]
        found.append((names, keys))
    return found


def dense_lines(axes: Axes, rows: pd.DataFrame, y: str, styles: dict[str, Look]) -> None:
    """Draw where the dense nets are: one band where all lines share theirs, else a line each."""
    nets, dense = dense_nets(rows), dense_of(rows)
    scale = 100 if charts.is_share(y) else 1
    line: dict[str, Any] = {"linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 1}
    for names, keys in nets:
        values = scale * dense[dense["key"].isin(keys)].drop_duplicates("key")[y]
        mean, low, high = stats.interval(values.tolist())
        own = len(nets) > 1 and len(names) == 1
        axes.axhline(mean, color=styles[min(names)].colour if own else charts.INK, **line)
        if len(nets) == 1 and low == low:
            axes.axhspan(low, high, color=charts.INK, alpha=0.09, linewidth=0, zorder=0)
    if nets:
        axes.plot([], [], color=charts.INK, label="dense", **line)

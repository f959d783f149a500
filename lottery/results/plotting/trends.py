"""Turn tables of levels into lines with their intervals: what several figures draw. No torch."""

import math
import shlex
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lottery.errors import UsageError
from lottery.results.plotting import charts, cuts, endings, strokes
from lottery.results.plotting.charts import SERIES
from lottery.results.plotting.columns import (
    CLASSIFICATION,
    EARLY,
    Metrics,
    changed,
    in_percent,
    metric_in,
)
from lottery.results.plotting.source import Chart, Source
from lottery.terms.metric import measured

DENSITIES = ("density", "compression")
TWO = 2  # lines, of which anyone sees that they stand side by side
WHOSE = ["name", "id", "replicate"]
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
    chance: bool = False,
) -> Chart:
    """Draw `y` against `x` over the levels, a line a series and branch, beside the dense nets.

    `prepare` makes the x axis, given the table of means, and is called before the lines are drawn.
    `chance` asks for a line at what needs no net, where it lies within the axes.
    """
    y, metrics = runs.column(y, figure), runs.metrics
    levels = with_change(rows_of(runs.levels, figure), y, runs)
    need(levels, x, figure, "x")
    need(levels, y, figure, "y")
    branches = with_change(runs.branches, y, runs, runs.levels) if branch else runs.branches
    rows = lines_of(levels, branches, branch, figure)
    rows = from_start(rows, y, runs)
    rows = complete(rows.dropna(subset=[x, y]), runs, every)
    means = summary(rows, [*WHO, "level"], list(dict.fromkeys(["density", x, y])), metrics)
    drawing, axes = charts.canvas()
    drawn = strokes.within(in_percent(means, ["density", x, y], metrics), y, rows, metrics)
    drawn = finite(drawn.assign(joined=strokes.joined(means)), y, runs, figure)
    prepare(axes, drawn)
    names, dense = strokes.counted(drawn), dense_of(rows)
    nets = together(dense_nets(rows)) if changed(y, metrics) else dense_nets(rows)
    if (found := measured(y, metrics)) and found.start:
        nets = []  # a dense net knows nothing then
    styles = charts.looks(list(names))
    if len(styles) > strokes.BANDS and len(nets) == 1:
        at_dense = (drawn["level"] == 0) & (drawn["density"] == 100) & (drawn["branch"] == "")
        drawn.loc[at_dense, [f"{y}_low", f"{y}_high"]] = math.nan  # the band across says it
    ends = strokes.draw_lines(axes, drawn, x, y, styles, names)
    strokes.say(runs, drawn, y, len(styles) > TWO and x in DENSITIES)
    counts = means["replicates"].nunique() > 1 and not changed(y, metrics)
    across = strokes.dense_lines(axes, nets, dense, y, styles, counts, metrics)
    if not ylim:
        cuts.cut(axes, drawn, y, [end.y for end in across], runs)
    charts.y_axis(axes, y, ylim, metrics)
    if chance and not changed(y, metrics) and metric_in(y, metrics) == metrics[0]:
        across += strokes.chance_line(axes, runs.chances, metrics[0])
    endings.name_lines(drawing, axes, [*ends, *across])
    return drawing, means


def finite(
    drawn: pd.DataFrame, y: str, runs: Source, figure: str, at: str = "level"
) -> pd.DataFrame:
    """Return means for drawing without those that are infinite, which are noted."""
    whole = drawn[y].abs() < math.inf
    for name, rows in drawn[~whole].groupby("line", sort=False):
        places = ", ".join(f"{place:g}" for place in rows[at].unique())
        runs.note(f"{name}: {y} is infinite at {at} {places}, where nothing is drawn")
    if not whole.any():
        raise UsageError(f"{figure}: {y} is infinite everywhere; choose another y=")
    return drawn[whole].copy()


def with_change(
    table: pd.DataFrame, y: str, runs: Source, levels: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return a table with the column `y` where that is a change: to the run's own dense level.

    In points for shares, and above 0 where a metric, or a loss, is better. Dense levels are those
    of `levels`, else of the table; a run without one is left out, and noted.
    """
    of = changed(y, runs.metrics)
    levels = table if levels is None else levels
    if not of or of not in table or of not in levels:
        return table
    dense = dense_of(levels.assign(branch=""))
    own = dense.drop_duplicates(WHOSE).set_index(WHOSE)[of]
    before = own.reindex(pd.MultiIndex.from_frame(table[WHOSE])).to_numpy(float)
    change = table[of] - before
    if found := measured(of, runs.metrics):
        change = found.metric.scale * (1 if found.metric.higher else -1) * change
    for name in table.loc[np.isnan(change) & table[of].notna(), "series"].unique():
        runs.note(f"{name}: left out, it has no dense net to be compared with")
    return table.assign(**{y: change})


def from_start(rows: pd.DataFrame, y: str, runs: Source) -> pd.DataFrame:
    """Return levels whose early-stop step is counted from where each begins, and note which do.

    metrics.csv counts the steps of the schedule, and fine-tuning goes on where the dense net ended:
    its soonest stop would stand above that of every ticket that trains in full.
    """
    if y != EARLY or "steps" not in rows:
        return rows
    note_begin(rows, runs, "steps count from there")
    return rows.assign(**{y: rows[y] - (rows["step"] - rows["steps"]).fillna(0)})


def note_begin(rows: pd.DataFrame, runs: Source, what: str) -> None:
    """Note the levels that begin later than the schedule of the learning rate does."""
    if "steps" not in rows:
        return
    begin = (rows["step"] - rows["steps"]).fillna(0)
    for name, own in begin[begin > 0].groupby(rows["series"], sort=False):
        first = " to ".join(f"{end:g}" for end in dict.fromkeys((own.min(), own.max())))
        runs.note(f"{name}: levels begin at step {first} of the schedule; {what}")


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


def few(
    table: pd.DataFrame, column: str, figure: str, most: int = SERIES, else_: str = ""
) -> list[str]:
    """Return the distinct words of a column; raises UsageError where they are more than `most`.

    `else_` is another way out, in words.
    """
    names = [str(name) for name in table[column].unique()]
    if len(names) > most:
        shown = "; ".join(names[:4]) + ("; ..." if len(names) > 4 else "")
        ways = "one experiment" if most == 1 else f"{most} lines at most"
        raise UsageError(
            f"{figure}: shows {ways}, and there are {len(names)} ({shown}); {else_}name a RUN, or "
            f"narrow: {narrower(table)}"
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
    Raises UsageError where no row is left.
    """
    if not every:
        return rows
    there = rows.groupby(["line", "level"])["replicate"].transform("nunique")
    asked = rows.groupby("line")["replicate"].transform("nunique")
    for name, short in rows[there < asked].groupby("line", sort=False):
        levels = sorted(int(level) for level in short["level"].unique())
        named = ("level " if len(levels) == 1 else "levels ") + ", ".join(map(str, levels))
        runs.note(f"{name}: left out {named}, not in all replicates (every=false draws them too)")
    if len(rows) and not (there == asked).any():
        raise UsageError("no level is in all replicates of its line; type every=false to draw all")
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


def summary(
    table: pd.DataFrame,
    by: Sequence[str],
    columns: Sequence[str],
    metrics: Metrics = CLASSIFICATION,
) -> pd.DataFrame:
    """Return mean and 95 % interval of each of `columns` over the rows that agree in `by`.

    The columns are NAME, NAME_low and NAME_high, and `replicates`, the number of rows.
    """
    found: list[dict[str, Any]] = []
    for key, rows in table.groupby([*by], sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(by, key, strict=True))
        row["replicates"] = len(rows)
        for column in columns:
            ends = strokes.reach(rows[column].dropna().tolist(), column, metrics)
            row |= dict(zip((column, f"{column}_low", f"{column}_high"), ends, strict=True))
        found.append(row)
    return pd.DataFrame(found)


def dense_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the dense nets: level 0. A later level may keep everything too.

    In a table without keys each of them is a net of its own.
    """
    dense = (rows["level"] == 0) & (rows["density"] == 1) & (rows["branch"] == "")
    found = rows[dense].copy()
    return found if "key" in found else found.assign(key=found.index.map(str))


def dense_nets(rows: pd.DataFrame) -> list[strokes.Net]:
    """Return the dense nets: the lines that share one, and its keys, one a replicate.

    Lines share a dense net where a level 0 of theirs has the same key.
    """
    found: list[strokes.Net] = []
    for name, part in dense_of(rows).groupby("line", sort=False):
        names, keys = {str(name)}, set(part["key"])
        for other in [each for each in found if each[1] & keys]:
            found.remove(other)
            names, keys = names | other[0], keys | other[1]
        found.append((names, keys))
    return found


def together(nets: Sequence[strokes.Net]) -> list[strokes.Net]:
    """Return several dense nets as one: where each is the 0 of its own line."""
    return (
        [(set().union(*(n for n, _ in nets)), set().union(*(k for _, k in nets)))] if nets else []
    )

"""Lay a comparison out for people. Imports neither torch nor pandas."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lottery.results import measures, stats
from lottery.results.comparison import Group, untrained
from lottery.results.facts import Facts
from lottery.results.filters import shortened
from lottery.results.formats import CUT, numeral, widths_of
from lottery.terms.metric import Metric
from lottery.wording.text import printable

MARK = "*"  # beside the mean of a level that a replicate was warned of
MARKED = re.compile(r"^.+?(?=$| \()")  # a mean with its interval
BEHIND = re.compile(r" \(.*\)$")  # an interval behind a difference, n behind a mean
Lines = tuple[list[str], list[list[str]]]  # heads, rows
Table = tuple[list[str], list[list[str]], tuple[str, ...]]  # heads, rows, what ends on the right


def tables(
    some: Sequence[Group],
    settings: dict[str, list[Any]],
    rows: Sequence[dict[str, Any]],
    first: int,
    every: bool,
    most: int | None = None,
    also: Sequence[str] = (),
) -> Iterator[tuple[str, Table]]:
    """Yield what is laid out for people, each under its title: runs, settings, the comparison.

    `most` is how many places a line of the terminal has; None where there is no end.
    """
    yield "", legend(some)
    if settings:
        yield "settings that differ", settings_table(some, settings)
    column = str(rows[0]["metric"])
    place = "at common densities" if len(some) > 1 and not every else "at each density"
    title = f"{titled(some, column)} {place}"
    yield title, results_table(some, rows, first, written_as(some, column), most, also)


def titled(some: Sequence[Group], column: str) -> str:
    """Return what a column is called over a table: test accuracy in %."""
    return measures.titled(column, [metric for group in some for metric in group.metrics])


def written_as(some: Sequence[Group], column: str) -> Metric | None:
    """Return the metric in whose unit a column of the groups is written."""
    return next((m for group in some if (m := group.written(column))), None)


def beside(
    some: Sequence[Group], rows: Sequence[dict[str, Any]], columns: Sequence[str]
) -> list[dict[str, Any]]:
    """Return rows of a comparison with the means of other columns at their levels, and the ends."""
    by_label = {group.label: group for group in some}
    found = []
    for row in rows:
        group = by_label[row["run"]]
        more: dict[str, float] = {}
        for column in columns:
            values = list(group.values(row["level"], column).values())
            ends = stats.reach(values, group.measure(column))
            more |= dict(zip((column, f"{column}_low", f"{column}_high"), ends, strict=True))
        found.append(row | more)
    return found


def measure(some: Sequence[Group], column: str, tolerance: float | None = None) -> Metric | None:
    """Return the metric that a column of the groups holds."""
    return next((m for group in some if (m := group.measure(column, tolerance))), None)


def explained(
    some: Sequence[Group], rows: Sequence[dict[str, Any]], tolerance: float | None
) -> Iterator[str]:
    """Yield how to read the tables, a line each."""
    if len(some) > 1 and not any(group.settings != some[0].settings for group in some):
        yield "no setting that decides the numbers differs"
    metric = measure(some, str(rows[0]["metric"]), tolerance)
    if metric and not untrained(some[0], str(rows[0]["metric"])):
        yield from stats.rule(metric)
    if any(not math.isnan(row[key]) for row in rows for key in ("dense_p", "p")):
        yield "p: paired t-test over replicates, two-sided"
        yield f"  correction     {corrected(some, rows)}"


def corrected(some: Sequence[Group], rows: Sequence[dict[str, Any]]) -> str:
    """Say over how many levels of each group p was corrected, and of how many that it has."""
    judged, changes = (
        {g.label: max((r[key] for r in rows if r["run"] == g.label), default=0) for g in some}
        for key in ("dense_family", "family")
    )
    whole = {g.label: sum(g.density(level) < 1 for level in g.levels) for g in some}
    over, also = among(judged, whole), among(changes, changes)
    if not over and not also:
        return stats.corrected(0)
    said = f"Holm over {over or also}"
    if over and also and changes != judged | {rows[0]["against"]: 0}:
        said += f", changes to {rows[0]['against']} over {also}"
    return said + (", not over the configs" if len(some) > 1 else "")


def among(sizes: dict[str, int], whole: dict[str, int]) -> str:
    """Return sizes of families in words: 18 levels of each config; 18 levels of A, 3 of 18 of B."""
    said = {
        label: f"{n if n >= whole[label] else f'{n} of {whole[label]}'} level{'s'[n < 2 :]}"
        for label, n in sizes.items()
        if n
    }
    if len(sizes) == 1:
        return next(iter(said.values()), "")
    if len(said) > 1 and len({*said.values()}) == 1:
        return f"{next(iter(said.values()))} of each config"
    return ", ".join(f"{text} of {label}" for label, text in said.items())


def legend(some: Sequence[Group]) -> Table:
    """Return what the letters stand for."""
    heads = ["run", "id", "name", "model", "dataset", "method", "rewind", "replicates", "levels"]
    rows = []
    for group in some:
        whose = group.facts.whose
        count = len(group.folders) - len(group.damaged)
        asked = {Facts(f).record.get("levels_asked", "?") for f in group.folders}
        done = f"{max(group.levels, default=0)}/{'?' if len(asked) > 1 else asked.pop()}"
        cells = [whose[key] for key in ("id", "name", "model", "dataset", "method", "rewind")]
        rows.append([group.label, *map(printable, cells), str(count), done])
    if all(r[2] == "_".join(r[3:6]).replace("/", "-") for r in rows):  # the name says no more
        heads, rows = [*heads[:2], *heads[3:]], [[*r[:2], *r[3:]] for r in rows]
    return heads, rows, ("replicates", "levels")


def settings_table(some: Sequence[Group], settings: dict[str, list[Any]]) -> Table:
    """Return the settings that differ: a line a setting, or of many groups a line a group."""
    cells = {
        key: [
            printable(shortened(value)) if key in group.settings else "-"
            for group, value in zip(some, values, strict=True)
        ]
        for key, values in settings.items()
    }
    labels = [group.label for group in some]
    if len(some) <= len(settings) + 2:
        return ["setting", *labels], [[printable(k), *v] for k, v in cells.items()], ()
    rows = [[label, *(v[i] for v in cells.values())] for i, label in enumerate(labels)]
    return ["run", *map(printable, cells)], rows, ()


def results_table(
    some: Sequence[Group],
    rows: Sequence[dict[str, Any]],
    first: int,
    metric: Metric | None,
    most: int | None = None,
    also: Sequence[str] = (),
) -> Table:
    """Return a line a density and group: mean, change to dense, verdict, change to the first.

    Behind the mean stand those of `also`, which the rows have by `beside`.
    """
    to = stats.change_to(some[0].better(str(rows[0]["metric"])))
    others = {column: written_as(some, column) for column in also}
    asides = [column.replace("_", " ") for column in also]
    heads = ["density", "run", "mean", *asides, f"{to} dense", "verdict"]
    heads += [f"{to} {some[first].label}", "p"] if len(some) > 1 else []
    cells = []
    for row in rows:
        mean = around(row, metric)
        mean = MARKED.sub(rf"\g<0>{MARK}", mean, count=1) if row["warnings"] else mean
        dense = change(row, "dense_difference", "dense_low", "dense_high", metric)
        other = change(row, "difference", "difference_low", "difference_high", metric)
        if other and row["pairs"] < row["replicates"]:
            other += f" n={row['pairs']}"
        verdict = row["verdict"] if row["density"] < 1 else "(dense)"
        more = [aside(row, column, unit) for column, unit in others.items()]
        line = [f"{row['density']:.4g}", row["run"], mean, *more, dense, verdict, other,
                probability(row["p_adjusted"])]  # fmt: skip
        cells.append(line[: len(heads)])
    return (*narrowed(heads, cells, most, len(also)), ())


def aside(row: dict[str, Any], column: str, metric: Metric | None) -> str:
    """Return a mean of another column than the table's, and half of its interval."""
    ends = zip(("mean", "low", "high"), (column, f"{column}_low", f"{column}_high"), strict=True)
    one = {"replicates": row["replicates"], **{key: row[name] for key, name in ends}}
    return BEHIND.sub("", around(one, metric))


def narrowed(
    heads: list[str], cells: list[list[str]], most: int | None, asides: int = 0
) -> Lines:
    """Return results that take no more than so many places: verdict, p and the mean itself stay.

    What goes, as far as it has to: the ends of intervals and how many replicates; the change to
    dense; that to the first. Behind the mean stand so many `asides`, which stay.
    """

    def over() -> bool:
        widths = widths_of([heads, *cells])
        return most is not None and sum(widths) + 2 * (len(widths) - 1) > most

    if over():
        cells = [[BEHIND.sub("", c) if c[:1] != "(" else c for c in line] for line in cells]
    for place in (3 + asides, 4 + asides):  # of what is left
        if over() and place < len(heads) - 1:
            heads = [*heads[:2], f"mean {CUT}", *heads[3:place], *heads[place + 1 :]]
            cells = [[*line[:place], *line[place + 1 :]] for line in cells]
    return heads, cells


def around(row: dict[str, Any], metric: Metric | None) -> str:
    """Return a mean, half of its interval, and of how many: 97.21 ± 0.34 (n=3).

    The interval of a mean of logarithms, or of a share, has no half: 30.2 (28.1 to 32.5; n=3).
    """
    mean, low, high = row["mean"], row["low"], row["high"]
    count, wide = f"n={row['replicates']}", high - mean
    if math.isnan(mean):
        return ""
    said = written(mean, wide, metric)
    if math.isnan(wide):
        return f"{said} ({count})"
    if metric and metric.lopsided:
        return f"{said} ({written(low, wide, metric)} to {written(high, wide, metric)}; {count})"
    return f"{said} ± {written(wide, wide, metric)} ({count})"


def written(value: float, reach: float, metric: Metric | None, sign: str = "") -> str:
    """Return a number with two decimals where those are points or per cent, else as it is sure."""
    if metric is None or not metric.in_points:
        return numeral(value, reach, sign)
    return metric.shown(value, sign)


def change(row: dict[str, Any], key: str, low: str, high: str, metric: Metric | None) -> str:
    """Return a difference and its interval, +0.09 (-0.44 to +0.62), unless all are the same."""
    numbers = (row[key], row[low], row[high])
    if math.isnan(numbers[0]):
        return ""
    reach = (numbers[2] - numbers[1]) / 2
    said = [written(v, reach, metric, "+") for v in numbers]
    if numbers[1] == numbers[2]:
        return f"{said[0]} ({stats.SAME})"
    return said[0] if math.isnan(reach) else f"{said[0]} ({said[1]} to {said[2]})"


def probability(p: float) -> str:
    """Return a p for people."""
    return "" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"

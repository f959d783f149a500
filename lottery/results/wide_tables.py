"""Lay a comparison out as papers do: methods as rows, densities as columns; and ranks at one.

Imports neither torch nor pandas.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from lottery.errors import UsageError
from lottery.results import comparison, stats
from lottery.results.comparison import Group
from lottery.results.comparison_tables import MARK, Table, around, change, measure
from lottery.results.formats import BEST
from lottery.results.labels import labels_of
from lottery.terms.metric import EXTREME, Metric

DENSE = "dense"


class Wide(NamedTuple):
    """Cells of a wide table: a row a group, a column a density (falling), None where none is."""

    names: list[str]
    densities: list[float]
    cells: list[list[dict[str, Any] | None]]
    lacking: list[str]  # what has no level near a density, in words


def wide(some: Sequence[Group], column: str, at: Sequence[float], near: float, first: int) -> Wide:
    """Return the mean of a column over replicates of each group at densities, and its interval.

    A group's level is its nearest within the share `near`. Without `at` they are the densities that
    groups have in common, below 1; the dense nets, if there are any, stand in front.
    """
    common = comparison.common(some, first, near)
    densities = sorted({*at}, reverse=True) or [
        some[min(place)].density(place[min(place)]) for place in common
    ]
    dense = [1.0] if any(g.density(0) == 1 for g in some if 0 in g.levels) else []
    densities = dense + [each for each in densities if each < 1]
    names, lacking = named(some), []
    cells: list[list[dict[str, Any] | None]] = []
    for name, group in zip(names, some, strict=True):
        row = [cell(group, column, each, near) for each in densities]
        none = [each for each, found in zip(densities, row, strict=True) if found is None]
        if none and at:
            there = ", ".join(f"{group.density(n):.4g}" for n in group.levels)
            wanted = ", ".join(f"{each:g}" for each in none)
            hint = there_is(group, none)
            lacking.append(f"{name} has no level near {wanted} (it has: {there or 'none'}){hint}")
        cells.append(row)
        for each, found in zip(densities, row, strict=True):
            if at and found and not math.isclose(found["density"], each, rel_tol=comparison.NEAR):
                lacking.append(f"of {name} {head(each)} is the level at {found['density']:.4g}")
    pruned = [each for row in cells for each in row[len(dense) :]]
    if not (any(pruned) if at else densities):
        raise UsageError(
            "compare: no run has a level near these densities "
            f"({'; '.join(lacking) or 'none is finished'})"
        )
    return Wide(names, densities, cells, lacking)


def there_is(group: Group, at: Sequence[float]) -> str:
    """Return what to type for the levels of a group nearest to densities; "" where there are none.
    """
    levels = [n for n in group.levels if group.density(n) < 1]
    if not levels:
        return ""
    each = [min((group.density(n) for n in levels), key=lambda d: abs(d - one)) for one in at]
    said = ",".join(f"{density:.4g}" for density in dict.fromkeys(each))
    return f"; the nearest are at={said}"


def named(some: Sequence[Group]) -> list[str]:
    """Return what tells the groups from each other, as in figures."""
    facts = {(str(g.facts.whose["name"]), g.ident): g.facts for g in some}
    said = labels_of(facts)
    return [said[str(g.facts.whose["name"]), g.ident] for g in some]


def cell(group: Group, column: str, density: float, near: float) -> dict[str, Any] | None:
    """Return what a group reached at its level nearest to a density; None where none is near."""
    level = nearest(group, density, near)
    return None if level is None else at_level(group, column, level)


def nearest(group: Group, density: float, near: float) -> int | None:
    """Return the level of a group nearest to a density, within the share `near`; None for none."""
    close = [n for n in group.levels if abs(group.density(n) - density) <= near * density]
    return min(close, key=lambda n: abs(group.density(n) - density)) if close else None


def at_level(group: Group, column: str, level: int) -> dict[str, Any]:
    """Return what a group reached at a level: a mean over replicates, and its interval."""
    values = list(group.values(level, column).values())
    mean, low, high = stats.reach(values, group.measure(column))
    found = {"level": level, "density": group.density(level), "replicates": len(values)}
    found["warned"] = bool(group.warned.get(level))
    return found | {"mean": mean, "low": low, "high": high}


def paper_table(table: Wide, metric: Metric | None, ranked: bool = True) -> Table:
    """Return the table for people; the best mean of a column is marked, that of dense nets not.

    None is where the numbers are not `ranked`: of a gap neither end is better.
    """
    heads = ["method", *(head(each) for each in table.densities)]
    numbers = {c["replicates"] for row in table.cells for c in row if c}
    rows = [[name] for name in table.names]
    for place, density in enumerate(table.densities):
        column = [row[place] for row in table.cells]
        means = [c["mean"] for c in column if c and not math.isnan(c["mean"])]
        best = EXTREME[metric.better if metric else "higher"](means, default=math.nan)
        for line, found in zip(rows, column, strict=True):
            if found is None:
                line.append("")
                continue
            text = said(found, metric, alike=len(numbers) == 1)
            marked = ranked and metric and density < 1 and found["mean"] == best and len(means) > 1
            line.append(BEST * bool(marked) + text)
    return heads, rows, ()


def said(found: dict[str, Any], metric: Metric | None, alike: bool) -> str:
    """Return a cell for people; how many replicates goes without saying where all are `alike`."""
    text = around(found, metric)
    if alike:
        text = text.partition(f" (n={found['replicates']})")[0]
        text = text.replace(f"; n={found['replicates']})", ")")
    return text + (MARK if found["warned"] else "")


def head(density: float) -> str:
    """Return the head of a column: 20 %."""
    return DENSE if density == 1 else f"{100 * density:.4g} %"


def remarks(table: Wide, laid: Table, metric: Metric | None, format: str) -> list[str]:
    """Return how to read a wide table, as it was laid out for people or goes to programs."""
    numbers = sorted({c["replicates"] for row in table.cells for c in row if c})
    if numbers[-1] == 1:
        lines = ["of one replicate each, so without an interval"]
    else:
        over = f"{numbers[0]} replicates" if len(numbers) == 1 else "the replicates (n)"
        lines = [f"mean over {over} and half of its 95 % interval"]
    if metric:
        better = "highest" if metric.higher else "lowest"
        lines += marked(laid, f"the {better} mean of a density; it may not be told from the next",
                        format)  # fmt: skip
    return [*lines, *(f"note: {line}" for line in table.lacking)]


def marked(laid: Table, what: str, format: str) -> list[str]:
    """Return the line that says what a mark means, where a table for people has one."""
    if format in ("csv", "json") or not any(BEST in text for row in laid[1] for text in row):
        return []
    return [f"{'bold:' if format in ('markdown', 'latex') else BEST} {what}"]


def flat(table: Wide, column: str) -> list[dict[str, Any]]:
    """Return the table as rows for programs: mean, low, high and n of each density."""
    rows = []
    for name, cells in zip(table.names, table.cells, strict=True):
        row: dict[str, Any] = {"method": name, "metric": column}
        for density, found in zip(table.densities, cells, strict=True):
            one: Mapping[str, Any] = found or {}
            row[f"{density:g}"] = one.get("mean", math.nan)
            row |= {f"{density:g}_{key}": one.get(key, math.nan) for key in ("low", "high")}
            row[f"{density:g}_n"] = one.get("replicates", 0)
        rows.append(row)
    return rows


def ranks(
    some: Sequence[Group], column: str, density: float, near: float, correction: str
) -> list[dict[str, Any]]:
    """Return a row a group, the best first: its rank at a density, and the ranks it may have.

    `rank_low` is one more than the groups that are shown to be better, `rank_high` all but those
    that are shown to be worse: by two-sided paired t-tests of all pairs over shared replicates,
    corrected over the pairs (Holm). `difference` is to the best group. Raises UsageError for a
    column of which no end is better, and where fewer than two groups are near that density.
    """
    metric = some[0].better(column)
    if metric is None:
        raise UsageError(f"compare: layout=ranks: no end of {column} is better; choose a metric=")
    cells = [cell(group, column, density, near) for group in some]
    there = [n for n, found in enumerate(cells) if found and not math.isnan(found["mean"])]
    if len(there) < 2:
        raise UsageError(
            f"compare: layout=ranks: fewer than two runs have a level near {density:g}; type "
            "another at=, or near=0.1 to take for one what differs by 10 %"
        )
    values = {n: some[n].values(cells[n]["level"], column) for n in there}  # type: ignore[index]
    gaps = {
        (a, b): [metric.gain(values[a][k], values[b][k]) for k in values[a] if k in values[b]]
        for a, b in combinations(there, 2)
    }
    tests = stats.tested(list(gaps.values()), correction)
    above, below = dict.fromkeys(there, 0), dict.fromkeys(there, 0)
    for (pair, gap), test in zip(gaps.items(), tests, strict=True):
        if test.adjusted < stats.ALPHA:
            better, worse = pair if math.fsum(gap) > 0 else pair[::-1]
            above[worse] += 1
            below[better] += 1
    means = {n: float(cells[n]["mean"]) for n in there}  # type: ignore[index]
    order = sorted(there, key=lambda n: -means[n] if metric.higher else means[n])
    names, rows = named(some), []
    for rank, n in enumerate(order, 1):
        mine, best = values[n], values[order[0]]
        gap = [metric.gain(mine[k], best[k]) for k in mine if k in best and n != order[0]]
        ends = dict(zip(("difference", "difference_low", "difference_high"), stats.reach(gap)))
        rows.append({
            "rank": rank, "rank_low": 1 + above[n], "rank_high": len(there) - below[n],
            "method": names[n], "metric": column, **cells[n], **ends,  # type: ignore[dict-item]
            "pairs": len(gap),
        })  # fmt: skip
    return rows


def rank_table(some: Sequence[Group], rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return ranks for people."""
    metric = measure(some, str(rows[0]["metric"]))
    heads = ["rank", "between", "method", "mean", "change to the best"]
    cells = []
    for row in rows:
        ends = (row["rank_low"], row["rank_high"])
        between = f"{ends[0]} and {ends[1]}" if ends[0] < ends[1] else "sure"
        gap = change(dict(row), "difference", "difference_low", "difference_high", metric)
        mean = around(dict(row), metric) + MARK * row["warned"]
        cells.append([str(row["rank"]), between, str(row["method"]), mean, gap])
    return heads, cells, ("rank",)


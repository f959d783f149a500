"""Lay methods out at equal cost: what each makes within a budget of computation, all counted.

Imports neither torch nor pandas.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from lottery.errors import UsageError
from lottery.results.comparison import NEAR, Group, to_dense
from lottery.results.comparison_tables import Table
from lottery.results.facts import number
from lottery.results.formats import BEST, numeral
from lottery.results.wide_tables import at_level, head, marked, named, nearest, said, there_is
from lottery.terms.metric import EXTREME, Metric

BUDGETS = (1.0, 2.0, 5.0, 10.0)  # in trainings of the dense net
COSTS = {  # of a whole ticket: all that was trained, scored or searched for it, its own training
    "macs": "multiply-accumulates, dense",
    "macs_kept": "multiply-accumulates of the weights kept",
    "steps": "training steps",
    "examples": "examples",
    "seconds": "seconds",
    "energy": "J (estimate)",
}


@dataclass(frozen=True)
class Budgets:
    """What tickets may cost: `sizes`, rising, in trainings of a dense net that takes `unit`."""

    cost: str  # of COSTS
    unit: float
    whose: str  # the name of the group whose dense net it is
    sizes: tuple[float, ...]
    near: float = NEAR  # a share by which a cost may be above

    def price(self, group: Group, level: int) -> float:
        """Return what a level's ticket costs, the mean over replicates; NaN where one is unknown.

        In trainings of the dense net.
        """
        rows = group.levels[level].values()
        found = [number(row.get(f"ticket_{self.cost}")) for row in rows]
        known = [each for each in found if each is not None]
        return fmean(known) / self.unit if len(known) == len(found) else math.nan

    def within(self, group: Group, size: float) -> list[int]:
        """Return the levels of a group that a budget pays for."""
        return [n for n in group.levels if self.price(group, n) <= size * (1 + self.near)]


def budgets(
    some: Sequence[Group], cost: str, sizes: Sequence[float], first: int, near: float = NEAR
) -> Budgets:
    """Return budgets in dense trainings of the group number `first`, or of the first that has one.

    Without `sizes` they are those of BUDGETS up to the first that pays for every level there is.
    Raises UsageError where no dense net's cost is known.
    """
    names = named(some)
    for group, whose in [(some[first], names[first]), *zip(some, names, strict=True)]:
        if 0 in group.levels and group.density(0) == 1:
            unit = Budgets(cost, 1.0, whose, ()).price(group, 0)
            if unit > 0:
                break
    else:
        raise UsageError(
            f"compare: match=cost: no run says what its dense net cost (ticket_{cost}); type "
            "cost=steps, or leave out match=cost"
        )
    found = Budgets(cost, unit, whose, tuple(sorted(sizes)) or BUDGETS, near)
    if sizes:
        return found
    most = max((p for g in some for n in g.levels if (p := found.price(g, n)) > 0), default=0.0)
    enough = next((at for at, size in enumerate(BUDGETS) if most <= size * (1 + near)), None)
    return found if enough is None else replace(found, sizes=BUDGETS[: enough + 1])


@dataclass(frozen=True)
class Matched:
    """Cells of a table at equal cost: a row a group, a column a budget, None where none is."""

    names: list[str]
    density: float | None  # that was asked for; None: the sparsest level that matches its dense net
    cells: list[list[dict[str, Any] | None]]
    lacking: list[str]  # why cells are empty, in words


def at_density(some: Sequence[Group], column: str, given: Budgets, density: float) -> Matched:
    """Return what each group reached near a density, wherever a budget pays for that level."""
    cells, lacking, names = [], [], named(some)
    for name, group in zip(names, some, strict=True):
        level = nearest(group, density, given.near)
        price = math.nan if level is None else given.price(group, level)
        row: list[dict[str, Any] | None] = []
        for size in given.sizes:
            paid = level is not None and level in given.within(group, size)
            row.append(at_level(group, column, level) | {"cost": price} if paid else None)  # type: ignore[arg-type]
        cells.append(row)
        if level is None:
            hint = there_is(group, [density])
            lacking.append(f"{name} has no level near density {density:.4g}{hint}")
        elif math.isnan(price):
            lacking.append(f"{name}: what its ticket cost is not known")
        elif row[0] is None:
            lacking.append(f"{name} takes {price:.3g}x to density {density:.4g}")
    return Matched(names, density, cells, lacking)


def sparsest(
    some: Sequence[Group], column: str, given: Budgets, tolerance: float | None = None
) -> Matched:
    """Return the sparsest level of each group that a budget pays for and that matches dense.

    It matches where its mean over replicates on the validation split is no more than the tolerance
    of the runs' first metric below that of the same replicates' dense nets; a test split chooses
    nothing. Raises UsageError where there is no validation split.
    """
    validated = [f"val_{group.metrics[0].name}" for group in some]
    if not all(has(group, val) for group, val in zip(some, validated, strict=True)):
        raise UsageError(
            "compare: match=cost chooses levels by validation, and there is no validation split "
            "(dataset.validation=0); name densities, as in at=0.2"
        )
    cells, lacking, names = [], [], named(some)
    for name, group, val in zip(names, some, validated, strict=True):
        losses = {n: to_dense(group, n, val) for n in group.levels}
        allowed = group.allowance(val, tolerance)
        good = [n for n, gap in losses.items() if gap and fmean(gap.values()) >= -allowed]
        row: list[dict[str, Any] | None] = []
        for size in given.sizes:
            paid = [n for n in given.within(group, size) if n in good]
            level = min(paid, key=group.density, default=None)
            cost = {} if level is None else {"cost": given.price(group, level)}
            row.append(None if level is None else at_level(group, column, level) | cost)
        cells.append(row)
        prices = [p for n in good if not math.isnan(p := given.price(group, n))]
        if row[0] is None and prices:
            lacking.append(f"{name} takes {min(prices):.3g}x to its first level that matches")
        elif row[0] is None:
            unknown = good and "of those that do it is not known what they cost"
            lacking.append(f"{name}: no pruned level matches its dense net{unknown or ''}")
    return Matched(names, None, cells, lacking)


def has(group: Group, column: str) -> bool:
    """Say whether a group has a number in a column, or no level at all."""
    return not group.levels or any(group.values(level, column) for level in group.levels)


def cost_table(table: Matched, given: Budgets, metric: Metric | None, ranked: bool) -> Table:
    """Return a table for people; of a column the best mean is marked, or the sparsest level.

    No mean is where the numbers are not `ranked`: of a gap neither end is better.
    """
    heads = ["method", *(f"{size:g}x" for size in given.sizes)]
    numbers = {c["replicates"] for row in table.cells for c in row if c}
    rows = [[name] for name in table.names]
    for place in range(len(given.sizes)):
        column = [row[place] for row in table.cells]
        key = "density" if table.density is None else "mean"
        better = "lower" if table.density is None else metric.better if metric and ranked else ""
        there = [c[key] for c in column if c and not math.isnan(c[key])]
        best = EXTREME[better](there, default=math.nan) if better else math.nan
        for line, found in zip(rows, column, strict=True):
            if found is None:
                line.append("")
                continue
            text = said(found, metric, alike=len(numbers) == 1)
            text += f" at {head(found['density'])}" if table.density is None else ""
            line.append(BEST * (found[key] == best and len(there) > 1) + text)
    return heads, rows, ()


def title(table: Matched) -> str:
    """Return what stands behind the metric over a table."""
    if table.density is None:
        return "of the sparsest level that matches dense, within a budget"
    return f"at density {table.density:.4g}, within a budget"


def remarks(
    some: Sequence[Group], tables: Sequence[Matched], laid: Sequence[Table], given: Budgets,
    format: str, tolerance: float | None,
) -> list[str]:  # fmt: skip
    """Return how to read tables at equal cost, and why cells are empty."""
    unit = f"{numeral(given.unit, math.nan)} {COSTS[given.cost]}"
    lines = [
        f"1x: a training of the dense net of {given.whose} ({unit}); a ticket costs all that was "
        "trained, scored or searched for it, and its own training",
        f"within: no more than {100 * given.near:.4g} % above (near=)",
    ]
    best = "the best mean of a budget; it may not be told from the next"
    if tables[0].density is None:
        val = f"val_{some[0].metrics[0].name}"
        metric = some[0].measure(val, tolerance)
        lines.append(
            "matches: its mean on the validation split is no more than "
            f"{metric.slack() if metric else 0} worse than that of the same replicates' dense nets"
        )
        best = "the sparsest of a budget"
    lines += [line for table in laid for line in marked(table, best, format)][:1]
    for name, group in zip(named(some), some, strict=True):
        own = given.price(group, 0) if 0 in group.levels and group.density(0) == 1 else 1.0
        if abs(own - 1) > given.near:
            lines.append(f"note: the dense net of {name} takes {own:.3g}x to train")
    return lines + [f"note: {line}" for table in tables for line in table.lacking]


def flat(table: Matched, given: Budgets, column: str) -> list[dict[str, Any]]:
    """Return a table as rows for programs: one a method and budget, NaN where there is no level."""
    empty = dict.fromkeys(("level", "density", "cost", "mean", "low", "high"), math.nan)
    rows = []
    for name, cells in zip(table.names, table.cells, strict=True):
        for size, found in zip(given.sizes, cells, strict=True):
            head = {"method": name, "metric": column, "budget": size, "at": table.density or ""}
            one: dict[str, Any] = {**empty, "replicates": 0} | (found or {})
            rows.append(head | {k: one[k] for k in (*empty, "replicates")})
    return rows

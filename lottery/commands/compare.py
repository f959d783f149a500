"""Compare runs: settings that differ, accuracy at common densities, verdicts.

usage: lottery compare [RUN...] [FILTER...] [against=RUN] [metric=test_accuracy]
                       [tolerance=0.005] [near=0.02] [every=false] [correction=holm|none]
                       [layout=long|wide|ranks] [at=0.5,0.2,0.1]
                       [match=density|cost] [budget=1,2,5,10] [cost=macs] [also=start,gap]
                       [format=table|csv|json|markdown|latex] [outputs=DIR]

The replicates of a config are one group; runs and filters are named as for `lottery ls`, and the
groups stand in the order of the words and of a filter's values, then of the settings that differ.
Every group is compared with the first, or with `against`. metric is a column of metrics.csv
(val_accuracy, best_test_accuracy, test_loss, seconds, ...); by default test, which is what the runs
measure first: accuracy, or perplexity of text. Where less of it is better, a difference is called a
gain, and + is better too. tolerance is by default the metric's own: of accuracy 0.005, a share.

  lottery compare 27bf 39d9                        two configs by the starts of their ids
  lottery compare model=resnet20 prune=imp,snip    by filters
  lottery compare prune=imp,random,snip against=imp format=csv

Densities that differ by the share `near` or less count as one; those of one group alone are left
out, and said, unless every=true. Means stand with half of their 95 % interval
(Student's t over the replicates), differences with the whole; a difference is taken replicate by
replicate. p is that of a two-sided paired t-test. Of many levels some would seem to beat or to fall
below by chance, so p is corrected over the levels of a config that are shown (Holm);
correction=none takes each for itself.

also=start,gap adds columns beside the mean: what the net reached before the level's first step,
right after pruning (and rewinding), and how much better it does in training than on the test split.

layout=wide is the table of a paper: methods as rows, densities as columns (those of `at`, or all
that runs have in common), the best mean of each in bold where the format has bold. layout=ranks
orders the runs at one density, and says between which ranks each may be, by tests of all pairs.
  lottery compare dataset=digits layout=wide at=0.5,0.2,0.1 format=latex

match=cost is such a table at equal cost: budgets as columns, in trainings of the dense net of the
first group, search for the ticket included (macs, macs_kept, steps, examples, seconds or energy).
It has the level of each density of `at` where the budget pays for it; without `at` the sparsest
that it pays for and that is no more than the tolerance below dense on the validation split.
  lottery compare dataset=digits match=cost at=0.2 budget=1,2,5,10
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import one_of, selection, share, tolerance, yes
from lottery.errors import UsageError
from lottery.terms.metric import START
from lottery.wording.spelling import suggestion
from lottery.wording.text import printable

if TYPE_CHECKING:
    from lottery.results.comparison import Group
    from lottery.results.comparison_tables import Table

KNOWN = {"against": "", "metric": "test", "tolerance": "", "near": "0.02",
         "every": "false", "correction": "holm", "format": "table", "layout": "long", "at": "",
         "match": "density", "budget": "", "cost": "macs", "also": "",
         "outputs": "outputs"}  # fmt: skip
LAYOUTS = ("long", "wide", "ranks")
FEW = 6  # densities that are named in a line
MOST_WARNINGS = 5  # of a group
WARNED = "warned: "


def main(arguments: list[str]) -> int:
    """Print the comparison; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    from lottery.results import choice, comparison, formats, measures, stats
    from lottery.results.comparison_tables import beside, explained, measure, tables
    from lottery.results.naming import none_there

    format = one_of(chosen, "format", formats.FORMATS, "compare")
    near = share(chosen, "near", "compare")
    every, outputs = yes(chosen, "every", "compare"), Path(chosen["outputs"])
    correction = one_of(chosen, "correction", stats.CORRECTIONS, "compare")
    folders = choice.choose(outputs, words, "compare", KNOWN)
    if not folders:
        raise UsageError(f"compare: {none_there(outputs)}")
    some, first = grouped(outputs, folders, chosen["against"])
    allowed = tolerance(chosen, [group.facts.metric for group in some], "compare")
    facts = [group.facts for group in some]
    column = measures.resolved(chosen["metric"], facts, "compare", "metric")
    check(some, column)
    also = [measures.resolved(word, facts, "compare", "also") for word in split(chosen["also"])]
    for each in also:
        check(some, each, "also")
    layout = one_of(chosen, "layout", LAYOUTS, "compare")
    at = wanted(chosen["at"])
    if one_of(chosen, "match", ("density", "cost"), "compare") == "cost":
        if layout == "ranks":
            raise UsageError("compare: layout=ranks: ranks are at a density; leave out match=cost")
        alone_in(also, "match=cost")
        at_cost(chosen, some, column, at, near, first, allowed, format)
        return 0
    if chosen["budget"] or chosen["cost"] != KNOWN["cost"]:
        raise UsageError("compare: budget= and cost= are for match=cost; add it")
    if layout != "long":
        alone_in(also, f"layout={layout}")
        laid_out(layout, some, column, at, near, first, correction, format)
        return 0
    if at:
        raise UsageError("compare: at= is for layout=wide and layout=ranks; add one of them")
    rows = comparison.compare(some, column, allowed, first, near, every, correction)
    if not rows:
        reached = "; ".join(f"{g.ident}: {densities(g)}" for g in some)
        raise UsageError(
            f"compare: these runs have no density in common ({reached}); type every=true to see "
            "each by itself, or near=0.1 to take for one what differs by 10 %"
        )
    rows = beside(some, rows, also)
    said = [*notes(some, first), *([] if every else alone(some, first, near))]
    settings = comparison.differing(some)
    if format == "csv":
        print(formats.comma_separated(rows))
        print(*map(printable, said), sep="\n", end="\n" * bool(said), file=sys.stderr)
    elif format == "json":
        about = {g.label: {"id": g.ident, "folders": g.folders} for g in some}
        by_key = {k: dict(zip(about, v, strict=True)) for k, v in settings.items()}
        judged = measure(some, column) or some[0].facts.metric
        more: dict[str, object] = {"tolerance": judged.tolerance if allowed is None else allowed}
        more |= {} if judged.of == "unit" else {"tolerance_of": judged.of}
        more |= {"correction": correction, "near": near, "notes": said}
        print(formats.as_json({"runs": about, "settings": by_key, **more, "rows": rows}))
    else:
        rule = [*map(printable, said), *explained(some, rows, allowed)]
        most = formats.room() if format == "table" else None
        parts = list(tables(some, settings, rows, first, every, most, also))
        print(formats.page(parts, rule, format))
    return 0


def wanted(text: str) -> list[float]:
    """Return the densities of at=; raises UsageError for what is none."""
    found = []
    for word in split(text):
        try:
            density = float(word)
        except ValueError:
            density = 0.0
        if not 0 < density <= 1:
            raise UsageError(f"compare: at={text}: {word} is no density; type at=0.5,0.2,0.1")
        found.append(density)
    return list(dict.fromkeys(found))


def alone_in(also: Sequence[str], where: str) -> None:
    """Raise UsageError for columns beside a mean where a table has room for one alone."""
    if also:
        raise UsageError(
            f"compare: {where} has one number a cell, so also= has no place; type metric={also[0]}"
        )


def split(text: str) -> list[str]:
    """Return the words of a list with commas."""
    return [word.strip() for word in text.strip("[]").split(",") if word.strip()]


def positive(word: str, text: str) -> float:
    """Return a budget; raises UsageError for what is none."""
    try:
        size = float(word.removesuffix("x"))
    except ValueError:
        size = 0.0
    if not 0 < size < math.inf:
        raise UsageError(f"compare: budget={text}: {word} is no budget; type budget=1,2,5,10")
    return size


def laid_out(
    layout: str, some: Sequence[Group], column: str, at: list[float], near: float, first: int,
    correction: str, format: str,
) -> None:  # fmt: skip
    """Print the table of a paper, or the ranks at a density."""
    from lottery.results import comparison, wide_tables
    from lottery.results.comparison_tables import measure, titled, written_as

    metric, said = written_as(some, column), notes(some, first)
    title = titled(some, column)
    if layout == "wide":
        table = wide_tables.wide(some, column, at, near, first)
        rows = wide_tables.flat(table, column)
        ranked = measure(some, column) is not None
        laid = wide_tables.paper_table(table, metric, ranked)
        said = iter([*wide_tables.remarks(table, laid, metric, format), *said])
    else:
        common = comparison.common(some, first, near)
        there = [some[min(p)].density(p[min(p)]) for p in common]
        if len(at) > 1:
            raise UsageError(f"compare: layout=ranks is of one density; type at={min(at):g}")
        density = at[0] if at else min(there, default=1.0)
        rows = wide_tables.ranks(some, column, density, near, correction)
        laid = wide_tables.rank_table(some, rows)
        title += f" at density {density:.4g}"
        tests = "paired t-tests of all pairs" + ", Holm" * (correction == "holm")
        said = iter([f"between: the ranks that {tests} leave to a run", *said])
    show([(title, laid)], rows, list(said), format)


def at_cost(
    chosen: Mapping[str, str], some: Sequence[Group], column: str, at: list[float], near: float,
    first: int, allowed: float | None, format: str,
) -> None:  # fmt: skip
    """Print what each run makes within budgets: a table a density, or one of what matches dense."""
    from lottery.results import cost_tables
    from lottery.results.comparison_tables import measure, titled, written_as

    sizes = [positive(word, chosen["budget"]) for word in split(chosen["budget"])]
    cost = one_of(chosen, "cost", tuple(cost_tables.COSTS), "compare")
    given = cost_tables.budgets(some, cost, sizes, first, near)
    tables = [cost_tables.at_density(some, column, given, each) for each in at]
    tables = tables or [cost_tables.sparsest(some, column, given, allowed)]
    metric, what = written_as(some, column), titled(some, column)
    ranked = measure(some, column) is not None
    parts = [
        (f"{what} {cost_tables.title(each)}", cost_tables.cost_table(each, given, metric, ranked))
        for each in tables
    ]
    rows = [row for each in tables for row in cost_tables.flat(each, given, column)]
    laid = [table for _, table in parts]
    said = cost_tables.remarks(some, tables, laid, given, format, allowed)
    said += notes(some, first)
    show(parts, rows, said, format)


def show(
    parts: Sequence[tuple[str, Table]], rows: Sequence[dict[str, Any]], remarks: Sequence[str],
    format: str,
) -> None:  # fmt: skip
    """Print tables and remarks for people, or their rows for programs."""
    from lottery.results import formats

    if format == "csv":
        print(formats.comma_separated(rows))
        print(*map(printable, remarks), sep="\n", file=sys.stderr)
    elif format == "json":
        print(formats.as_json({"rows": rows, "notes": remarks}))
    else:
        print(formats.page(parts, remarks, format))


def grouped(outputs: Path, folders: Sequence[Path], word: str) -> tuple[list[Group], int]:
    """Return the groups, and the number of the one to compare with."""
    from lottery.results import choice, comparison

    if not word:
        return comparison.groups(folders), 0
    wanted = choice.replicates(outputs, word, "compare")
    if wanted[0].parent not in {f.parent for f in folders}:
        folders = [*wanted, *folders]
    bases = list(dict.fromkeys(f.parent for f in folders))
    return comparison.groups(folders), bases.index(wanted[0].parent)


def check(some: Sequence[Group], metric: str, option: str = "metric") -> None:
    """Raise UsageError where there is nothing to compare, or no such metric."""
    from lottery.results import comparison

    if not any(group.levels for group in some):
        why = next((w for g in some for w in g.damaged.values()), "none has finished a level")
        raise UsageError(f"compare: nothing to compare: {why}")
    if comparison.has(some, metric):
        return
    known = comparison.metrics(some)
    hint = suggestion(metric, known) or f" (there are: {', '.join(known)})"
    own, other = (f"{split}_{some[0].facts.metric.name}" for split in ("test", "val"))
    if metric.startswith(START):
        hint = ", which runs of earlier versions did not write down; leave it out"
    elif metric == own and other in known:
        hint = f"; type metric={other}"
    elif "val_" in metric and other not in known:
        hint = "; there is no validation split (dataset.validation=0)"
    raise UsageError(f"compare: no run has a number of {option}={metric}{hint}")


def densities(group: Group) -> str:
    """Return the densities of a group in words."""
    return few([group.density(level) for level in group.levels]) or "none yet"


def few(some: Sequence[float]) -> str:
    """Return densities in words, not too many of them."""
    more = f" and {len(some) - FEW} more" if len(some) > FEW else ""
    return ", ".join(f"{density:.4g}" for density in some[:FEW]) + more


def alone(some: Sequence[Group], first: int, near: float) -> Iterator[str]:
    """Yield which densities are left out since no other group has them, and what shows them."""
    from lottery.results import comparison

    left = comparison.left_out(some, first, near)
    each = "; ".join(f"{some[index].label} at {few(those)}" for index, those in left.items())
    if each:
        yield (
            f"note: left out, as no other run is within {100 * near:.4g} %: {each} "
            "(every=true shows it, near=0.1 widens)"
        )


def warnings(some: Sequence[Group]) -> Iterator[str]:
    """Yield what the runs of each group were warned of, a line each, with whose it is."""
    from lottery.results.comparison_tables import MARK
    from lottery.results.facts import Facts

    if any({*group.levels} & {*group.warned} for group in some):
        yield f"{WARNED}{MARK} stands beside a mean where a replicate was warned at that level"
    for group in some:
        said: dict[str, list[str]] = {}
        for run in map(Facts, group.folders):
            for one in run.warnings:
                said.setdefault(one.line, []).append(str(run.replicate))
        for line, who in list(said.items())[:MOST_WARNINGS]:
            yield f"{WARNED}{group.label}, replicate {', '.join(who)}: {line}"
        if len(said) > MOST_WARNINGS:
            more = f"{len(said) - MOST_WARNINGS} warnings more: lottery show {group.ident}"
            yield f"{WARNED}{group.label}: {more}/replicate_{Facts(group.folders[0]).replicate}"


def notes(some: Sequence[Group], first: int) -> Iterator[str]:
    """Yield what a reader has to know of these runs before trusting the table, a line each."""
    from lottery.results.facts import Facts
    from lottery.results.folders import lost

    for group in some:
        for folder, why in group.damaged.items():
            yield f"note: {folder} is left out: {why}"
        yield from (f"note: {line}" for line in lost(group.folders))
        if group.unfinished:
            who = ", ".join(map(str, group.unfinished))
            yield f"note: no level of {group.label} is finished yet in replicate {who}"
        if not group.settings:
            yield f"note: the settings of {group.label} cannot be read"
    yield from warnings(some)
    if len({group.metrics[0].name for group in some}) > 1:
        each = "; ".join(f"{group.label}: {group.metrics[0].label}" for group in some)
        yield f"note: these runs measure different things ({each}), so their losses may not compare"
    data = {frozenset(group.data) for group in some if group.data}
    if len(data) > 1 or any(len(each) > 1 for each in data):
        yield "note: these runs were trained on different data, which may explain a difference"
    there = {Facts(folder).replicate for folder in some[first].folders}
    for group in some:
        if not there & {Facts(folder).replicate for folder in group.folders}:
            pair = f"{group.label} and {some[first].label}"
            yield f"note: {pair} have no replicate in common, so they are not tested in pairs"

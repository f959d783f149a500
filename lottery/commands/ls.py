"""List the runs under outputs/, a line each.

usage: lottery ls [RUN...] [FILTER...] [sort=[-]COLUMN[,...]] [columns=COLUMN[,...]]
                  [group=replicate] [format=table|csv|json|markdown|latex] [outputs=DIR]

RUN is a name or a part of one, the start of an id, or a path (of a run, or of a folder of runs); *
stands for anything. FILTER keeps
some runs: KEY=VALUE[,VALUE...] those that have one of the values, KEY!=VALUE[,...] the others,
'KEY>NUMBER' (also <, >=, <=; quoted, as > and < are the shell's) those beyond a number. KEY is a
column, an option or any setting. An accuracy is a share, or above 1 (or with %) in per cent; a time
is in seconds or has a unit: 'age<2h' (s, min, h, d). test and val are what a run measures first:
accuracy, or perplexity (test_perplexity) of text; sort= puts the worst first, sort=- the best.

  lottery ls prune=imp,random state=done sort=-test    the best first
  lottery ls 'test>97.5' 'density<=0.1'                sparse, and good
  lottery ls train.batch_size=64 sort=density,-test    by a setting; sorted by two columns
  lottery ls columns=name,id,test,train.length         what is shown: columns and settings
  lottery ls format=csv                                every column, in full precision
  lottery ls group=replicate                           a line a config, means over its replicates

columns: name id replicate model dataset method (also: prune) rewind levels levels_asked density
val_accuracy (val) test_accuracy (test) state started (age) ended seconds left warnings folder.
Density and accuracy are those of the last level; warnings are the kinds of what the run was warned
of (collapse, diverged, rate, environment, ticket, damage, board, other); state is running, done,
stopped, killed, failed or damaged. Where configs share all
else, the settings in which they differ are columns, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import one_of, selection
from lottery.errors import UsageError
from lottery.terms.metric import Metric
from lottery.wording.spelling import suggestion
from lottery.wording.text import printable

if TYPE_CHECKING:
    from lottery.results.facts import Facts

KNOWN = {"sort": "", "columns": "", "group": "", "format": "table", "outputs": "outputs"}
FIRST = ("name", "id", "replicate", "model", "dataset", "method", "rewind")
LAST = ("levels", "density", "val", "test", "state", "age", "left", "warnings")
NUMBERS = ("rep", "levels", "density", "age", "left", "seconds")  # heads that end on the right
COMMON = ("dataset", "model", "rewind", "method", "name")  # said once, if a line is too long
SHORTEST = 12  # places of a name
MOST = 3  # settings that are shown unasked


def main(arguments: list[str]) -> int:
    """Print the table; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    from lottery.results import choice, facts, formats, measures
    from lottery.results.naming import none_there
    from lottery.results.order import telling

    format = one_of(chosen, "format", formats.FORMATS, "ls")
    outputs = Path(chosen["outputs"])
    runs = ordered(choice.chosen(outputs, words, "ls", KNOWN), chosen["sort"])
    columns = asked(runs, chosen["columns"])
    if chosen["group"]:
        one_of(chosen, "group", ("replicate",), "ls")
        if columns:
            raise UsageError("ls: group=replicate has columns of its own; leave columns= out")
        print(by_config(runs, chosen["sort"], format) if runs else none_there(outputs))
        return 0
    settings = [] if columns else telling(runs)
    if format in ("csv", "json"):
        rows = [exact(run, columns) if columns else run.row | exact(run, settings) for run in runs]
        every = facts.columns(measures.known(runs))
        rows = rows if columns else [dict.fromkeys(every) | row for row in rows]
        as_csv = format == "csv"
        print(formats.comma_separated(rows, every) if as_csv else formats.as_json(rows))
    elif not runs:
        print(none_there(outputs))
    elif format in ("markdown", "latex"):
        lay = formats.markdown if format == "markdown" else formats.latex
        print(lay(*laid_out(runs, columns, settings)))
    else:
        print(fitted(*laid_out(runs, columns, settings), room=formats.room()))
        if any(run.warnings for run in runs) and (not columns or "warnings" in columns):
            print("warnings: what a run was warned of; lottery show RUN has the lines")
        if len(settings) > MOST:
            print(f"{len(settings) - MOST} more settings differ: lottery compare shows them")
    return 0


def by_config(runs: Sequence[Facts], sort: str, format: str) -> str:
    """Return a line a config, with means over its replicates; sorted by those where they are asked.

    What was measured goes from the worst to the best, as in `ordered`.
    """
    from lottery.results import formats, grouped
    from lottery.results.order import telling

    settings = telling(list(runs))
    rows = grouped.grouped(runs, settings)
    metrics = {run.metric.name: run.metric for run in runs}
    for word in reversed([w for w in sort.split(",") if w]):
        split, _, measured = word.removeprefix("-").partition("_")
        if (not measured or measured in metrics) and split in ("val", "test"):
            def standing(row: dict[str, Any], split: str = split) -> tuple[str, float]:
                return row["metric"], metrics[row["metric"]].gain(row[split], 0.0)

            there = [row for row in rows if row[split] == row[split]]
            lacking = [row for row in rows if row[split] != row[split]]
            rows = sorted(there, key=standing, reverse=word.startswith("-")) + lacking
    if format == "csv":
        return formats.comma_separated(rows)
    if format == "json":
        return formats.as_json(rows)
    cells = [grouped.for_people(row, metrics[row["metric"]]) for row in rows]
    more = [{k: str(row[k]) for k in settings[:MOST]} for row in rows]
    shown = [{**cell, **own} for cell, own in zip(cells, more, strict=True)]
    if len(metrics) > 1:
        for one, row in zip(shown, rows, strict=True):
            label = metrics[row["metric"]].label
            one |= {split: f"{label} {one[split]}" for split in ("val", "test") if one[split]}
    usual = "{model}_{dataset}_{method}"
    named = any(c["name"] != usual.format(**c).replace("/", "-") for c in cells)
    heads = ["name"] * named + ["id", "model", "dataset", "method", "rewind", *settings[:MOST]]
    heads += ["replicates", "levels", "density", "val", "test", "state"]
    heads = [head for head in heads if any(cell[head] for cell in shown)]
    lines = [[printable(cell[head]) for head in heads] for cell in shown]
    titles = {split: titled(split, metrics.values()) for split in ("val", "test")}
    heads = [titles.get(head, head) for head in heads]
    if format in ("markdown", "latex"):
        lay = formats.markdown if format == "markdown" else formats.latex
        return lay(heads, lines, NUMBERS)
    return fitted(heads, lines, ("replicates", *NUMBERS), room=formats.room())


def titled(split: str, metrics: Iterable[Metric]) -> str:
    """Return the head of a column of means: test acc, test perplexity, test of several."""
    from lottery.results.results import heads

    every = list(metrics)
    return heads(every[0])[split == "test"] if len(every) == 1 else split


def ordered(runs: list[Facts], sort: str) -> list[Facts]:
    """Return the runs by the columns of `sort`, the first counting most; "-" turns one round.

    What was measured goes from the worst to the best. Runs that have none of it come last. Raises
    UsageError for what is no column or setting.
    """
    from lottery.results.order import rank

    def standing(run: Facts) -> tuple[str, Any]:
        found, metric = run.values(key)[0], run.measure(key)
        return (metric.name, rank(metric.gain(found, 0.0))) if metric else ("", rank(found))

    for word in reversed([w for w in sort.split(",") if w]):
        key, back = word.removeprefix("-"), word.startswith("-")
        back ^= key == "age"  # the youngest began last
        known(runs, key, "sort")
        there = {run for run in runs if run.values(key) and run.values(key)[0] is not None}
        rest = [run for run in runs if run not in there]
        some = [run for run in runs if run in there]
        runs = sorted(some, key=standing, reverse=back) + rest
    return runs


def asked(runs: Sequence[Facts], text: str) -> list[str]:
    """Return the columns that were asked for; raises UsageError for one that no run has."""
    columns = [word for word in text.split(",") if word]
    for key in columns:
        known(runs, key, "columns")
    return columns


def known(runs: Sequence[Facts], key: str, option: str) -> None:
    """Raise UsageError where no run has a column, option or setting of this name."""
    from lottery.results.facts import ALSO

    names = dict.fromkeys(name for run in runs for name in run.keys)
    if runs and key not in names:
        hint = suggestion(key, names) or f"; columns are {', '.join((*runs[0].columns, *ALSO))}"
        raise UsageError(f"ls: {option}={key}: no run has that{hint} (lottery ls --help)")


def exact(run: Facts, columns: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a run for a program."""
    return {key: next(iter(run.values(key)), None) for key in columns}


def laid_out(
    runs: Sequence[Facts], columns: Sequence[str], settings: Sequence[str]
) -> tuple[list[str], list[list[str]], list[str]]:
    """Return heads and cells for people, what is asked for or what says something.

    And the heads that end on the right.
    """
    usual = [*FIRST, *settings[:MOST], *LAST]
    shown = list(columns) or [key for key in usual if useful(key, runs)]
    mixed = len({run.metric.name for run in runs}) > 1
    for apart in ("id", "replicate", "folder"):  # no two runs may look the same
        rows = [[cell(run, renamed(key), mixed) for key in shown] for run in runs]
        if len(set(map(tuple, rows))) == len(runs):
            break
        shown += [] if apart in shown else [apart]
    heads = [head(renamed(key), runs, mixed) for key in shown]
    right = [h for h, key in zip(heads, shown, strict=True) if any(r.measure(key) for r in runs)]
    cells = [[cell(run, renamed(key), mixed) for key in shown] for run in runs]
    return heads, cells, [*NUMBERS, *right]


def renamed(key: str) -> str:
    """Return the column that a short name stands for; test and val are of each run's own metric."""
    from lottery.results.facts import ALSO, REACHED

    return key if key in ("age", *REACHED) else ALSO.get(key, key)


def head(key: str, runs: Sequence[Facts], mixed: bool) -> str:
    """Return the head of a column; where runs measure different things, cells say what."""
    from lottery.results import facts, measures

    if key == "replicate" or (mixed and key in facts.REACHED) or not runs:
        return {"replicate": "rep"}.get(key, key)
    return measures.head(runs[0].column(key) if key in facts.REACHED else key, measures.known(runs))


def useful(key: str, runs: Sequence[Facts]) -> bool:
    """Say whether a column says something that no other does."""
    rows = [run.row for run in runs]
    if key == "name":
        usual = ("{model}_{dataset}_{method}".format(**r).replace("/", "-") for r in rows)
        return any(r["name"] != name for r, name in zip(rows, usual, strict=True))
    if key == "val":
        return any(run.values("test") == [None] != run.values("val") for run in runs)
    return key not in ("left", "warnings") or any(r[key] not in (None, "") for r in rows)


def cell(run: Facts, key: str, mixed: bool = False) -> str:
    """Return a cell for people."""
    from lottery.results.facts import REACHED, age
    from lottery.results.filters import MEASURED, shortened
    from lottery.results.formats import about

    if key == "age":
        return about(age(run.row["started"]))
    values = run.values(key)
    if not values or (values[0] is None and run.column(key) in run.columns):
        return ""
    value = values[0]
    if key == "levels":
        return str(values[1])
    if metric := run.measure(key):
        alone = mixed and key in REACHED
        return f"{metric.label} {metric.said(value)}" if alone else metric.shown(value)
    if key in ("left", "seconds"):
        return about(value)
    return f"{value:.4g}" if key in MEASURED else printable(shortened(value))


def fitted(heads: list[str], rows: list[list[str]], right: Sequence[str], room: int | None) -> str:
    """Return the table, no wider than there is room if that can be.

    What is the same in every line is said once above it; then long names lose their middle.
    """
    from lottery.results.formats import aligned, places, shortened, wrapped

    said = []
    for key in COMMON if room else ():
        if too_wide(heads, rows, room) and key in heads and len(rows) > 1:
            place = heads.index(key)
            if len({row[place] for row in rows}) == 1:
                said.append(f"{key} {rows[0][place]}")
                heads = [h for i, h in enumerate(heads) if i != place]
                rows = [[c for i, c in enumerate(row) if i != place] for row in rows]
    over = too_wide(heads, rows, room)
    if over and "name" in heads:
        place = heads.index("name")
        most = max(SHORTEST, max(places(row[place]) for row in rows) - over)
        short = [[*row[:place], shortened(row[place], most), *row[place + 1 :]] for row in rows]
        rows = short if len(set(map(tuple, short))) == len(set(map(tuple, rows))) else rows
    above = [wrapped(f"all: {', '.join(said)}")] if said else []
    return "\n".join([*above, aligned(heads, rows, right)])


def too_wide(heads: Sequence[str], rows: Sequence[Sequence[str]], room: int | None) -> int:
    """Return by how many places a table is too wide."""
    from lottery.results.formats import places

    if room is None:
        return 0
    widths = [max(places(line[i]) for line in [heads, *rows]) for i in range(len(heads))]
    return max(0, sum(widths) + 2 * (len(widths) - 1) - room)

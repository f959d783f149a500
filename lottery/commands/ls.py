"""List the runs under outputs/, a line each.

usage: lottery ls [RUN...] [KEY=VALUE[,VALUE...]...] [sort=[-]COLUMN[,...]] [columns=COLUMN[,...]]
                  [format=table|csv|json|markdown] [outputs=DIR]

RUN is a name or a part of one, the start of an id, or a path; * stands for anything. KEY=VALUE
keeps the runs that have one of the values: KEY is a column, an option or any setting.

  lottery ls prune=imp,random state=done sort=-test    the best first
  lottery ls train.batch_size=64 sort=density,-test    by a setting; sorted by two columns
  lottery ls columns=name,id,test,train.length         what is shown: columns and settings
  lottery ls format=csv                                every column, in full precision

columns: name id replicate model dataset method (also: prune) rewind levels levels_asked density
val_accuracy (val) test_accuracy (test) state started (age) ended seconds left folder. Density and
accuracy are those of the last level; state is running, done, stopped, killed, failed or damaged.
"""

from __future__ import annotations

import datetime
import difflib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import selection
from lottery.errors import UsageError
from lottery.wording import printable

if TYPE_CHECKING:
    from lottery.looking.facts import Facts

KNOWN = {"sort": "", "columns": "", "format": "table", "outputs": "outputs"}
SHOWN = ("name", "id", "replicate", "model", "dataset", "method", "rewind", "levels", "density",
         "val_accuracy", "test_accuracy", "state", "age", "left")  # fmt: skip
HEADS = {"replicate": "rep", "val_accuracy": "val %", "test_accuracy": "test %"}
NUMBERS = ("rep", "levels", "density", "val %", "test %", "age", "left", "seconds")
COMMON = ("dataset", "model", "rewind", "method")  # said once, where a line would be too long
SHORTEST = 12  # characters of a name


def main(arguments: list[str]) -> int:
    """Print the table; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    from lottery import formats
    from lottery.looking import choice
    from lottery.looking.facts import COLUMNS, Facts

    format = formats.check(chosen["format"], "ls")
    outputs = Path(chosen["outputs"])
    runs = [Facts(folder) for folder in choice.choose(outputs, words, "ls")]
    runs = ordered(runs, chosen["sort"])
    columns = asked(runs, chosen["columns"])
    if format in ("csv", "json"):
        rows = [exact(run, columns) if columns else run.row for run in runs]
        as_csv = format == "csv"
        print(formats.comma_separated(rows, COLUMNS) if as_csv else formats.as_json(rows))
    elif not runs:
        print(choice.none_there(outputs))
    elif format == "markdown":
        print(formats.markdown(*laid_out(runs, columns), right=NUMBERS))
    else:
        print(fitted(*laid_out(runs, columns), width()))
    return 0


def ordered(runs: list[Facts], sort: str) -> list[Facts]:
    """Return the runs by the columns of `sort`, the first counting most; "-" turns one round.

    Runs that have none of it come last. Raises UsageError for what is no column or setting.
    """
    for word in reversed([w for w in sort.split(",") if w]):
        key, back = word.removeprefix("-"), word.startswith("-")
        back ^= key == "age"  # the youngest began last
        known(runs, key, "sort")
        there = {run for run in runs if run.values(key) and run.values(key)[0] is not None}
        rest = [run for run in runs if run not in there]
        runs = sorted((r for r in runs if r in there), key=rank(key), reverse=back) + rest
    return runs


def rank(key: str) -> Callable[[Facts], tuple[bool, float, str]]:
    """Return what to sort runs by: numbers by size and before words."""

    def of(run: Facts) -> tuple[bool, float, str]:
        value = run.values(key)[0]
        is_number = isinstance(value, int | float)
        return not is_number, value if is_number else 0.0, "" if is_number else str(value)

    return of


def asked(runs: Sequence[Facts], text: str) -> list[str]:
    """Return the columns that were asked for; raises UsageError for one that no run has."""
    columns = [word for word in text.split(",") if word]
    for key in columns:
        known(runs, key, "columns")
    return columns


def known(runs: Sequence[Facts], key: str, option: str) -> None:
    """Raise UsageError where no run has a column, option or setting of this name."""
    names = {name for run in runs for name in run.keys}
    if runs and key not in names:
        close = difflib.get_close_matches(key, sorted(names), n=1, cutoff=0.5)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise UsageError(f"ls: {option}={key}: no run has that{hint} (lottery ls --help)")


def exact(run: Facts, columns: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a run for a program."""
    return {key: next(iter(run.values(key)), None) for key in columns}


def laid_out(runs: Sequence[Facts], columns: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells for people: what is asked for, or the columns that say something."""
    shown = list(columns) or [key for key in SHOWN if useful(key, runs)]
    heads = [HEADS.get(key, key) for key in map(renamed, shown)]
    return heads, [[cell(run, renamed(key)) for key in shown] for run in runs]


def renamed(key: str) -> str:
    """Return the column that a short name stands for."""
    from lottery.looking.facts import ALSO

    return key if key == "age" else ALSO.get(key, key)


def useful(key: str, runs: Sequence[Facts]) -> bool:
    """Say whether a column says something that no other does."""
    rows = [run.row for run in runs]
    if key == "name":
        usual = ("{model}_{dataset}_{method}".format(**r).replace("/", "-") for r in rows)
        return any(r["name"] != name for r, name in zip(rows, usual, strict=True))
    if key == "val_accuracy":
        return any(r["test_accuracy"] is None and r["val_accuracy"] is not None for r in rows)
    return key != "left" or any(r["left"] is not None for r in rows)


def cell(run: Facts, key: str) -> str:
    """Return a cell for people."""
    from lottery.formats import about

    if key == "age":
        return about(age(run.row["started"]))
    value = next(iter(run.values(key)), None)
    if value is None:
        return ""
    if key == "levels":
        total = run.row["levels_asked"]
        return f"{value}/{'?' if total is None else total}"
    if key in ("test_accuracy", "val_accuracy"):
        return f"{100 * value:.2f}"
    if key in ("left", "seconds"):
        return about(value)
    return f"{value:.4g}" if isinstance(value, float) else printable(value)


def age(started: object) -> float | None:
    """Return the seconds since a time in ISO 8601; None where it is none."""
    try:
        then = datetime.datetime.fromisoformat(str(started))
        return (datetime.datetime.now(datetime.UTC) - then).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def width() -> int | None:
    """Return the columns of the terminal; None where the output goes to a file or a program."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return None


def fitted(heads: list[str], rows: list[list[str]], room: int | None) -> str:
    """Return the table, no wider than there is room if that can be.

    What is the same in every line is said once above it; then long names lose their middle.
    """
    from lottery.formats import aligned

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
        most = max(SHORTEST, max(len(row[place]) for row in rows) - over)
        rows = [[*row[:place], shortened(row[place], most), *row[place + 1 :]] for row in rows]
    above = [f"all: {', '.join(said)}"] if said else []
    return "\n".join([*above, aligned(heads, rows, NUMBERS)])


def too_wide(heads: Sequence[str], rows: Sequence[Sequence[str]], room: int | None) -> int:
    """Return by how many characters a table is too wide."""
    if room is None:
        return 0
    widths = [max(len(line[i]) for line in [heads, *rows]) for i in range(len(heads))]
    return max(0, sum(widths) + 2 * (len(widths) - 1) - room)


def shortened(text: str, most: int) -> str:
    """Return text without its middle where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"

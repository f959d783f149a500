"""Follow a run while it is at work: its finished levels, then what comes.

usage: lottery tail [RUN] [FILTER...] [every=SECONDS] [outputs=DIR]

RUN is a path, an id or the start of one, a run's name, or filters, as in `lottery ls`; without one
the run that is at work, where there is only one. Ends when the run does; Ctrl-C ends this alone.
A run that is not at work: its levels and how it stands; exit code 4 for a damaged one. It
may be on another machine that writes to the same disk: as its lock may not be seen from here, its
sign of life tells, which is 2 s old at most where the clocks agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

from lottery.commands import example, selection
from lottery.errors import DAMAGED, DISK, DONE, INTERRUPTED, UsageError
from lottery.progress import pulse
from lottery.storage.records import UNREAD
from lottery.wording import telling
from lottery.wording.text import near, printable

if TYPE_CHECKING:
    from lottery.results.facts import Facts

KNOWN = {"every": "1", "outputs": "outputs"}
QUIET = 10.0  # seconds without a new row after which the step is shown


def main(arguments: list[str]) -> int:
    """Print what is there and what comes; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    try:
        return follow(found(Path(chosen["outputs"]), words), seconds(chosen["every"]))
    except KeyboardInterrupt:  # of this command; the run does not notice
        return INTERRUPTED


def seconds(text: str) -> float:
    """Return the seconds between two looks."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UsageError(f"tail: every={text} is no number of seconds above 0")
    return number


def found(outputs: Path, words: Sequence[str]) -> Path:
    """Return the run that the words name; without words the only one that is at work."""
    from lottery.results import choice

    if words:
        return choice.one(outputs, words, "tail")
    working = [run for run in choice.chosen(outputs, (), "tail") if run.state == "running"]
    if len(working) == 1:
        return working[0].folder
    typed = example((), {"outputs": str(outputs)}, "tail")
    raise UsageError(
        f"tail: {len(working) or 'no'} runs are at work under {printable(outputs)}; name the one "
        f"to follow (lottery ls lists them), as in: {typed}"
    )


def follow(folder: Path, every: float) -> int:
    """Print the run's levels and rows as they come, until it is not at work any more."""
    from lottery.results.facts import Facts
    from lottery.results.living import line

    print(printable(near(folder)), flush=True)
    levels, shown, said_at = 0, None, 0.0
    while True:
        run = Facts(folder)
        now = run.state  # before the tables: else the last level may come in between
        levels = new_levels(folder, levels)
        if now != "running":
            print(ending(run), flush=True)
            return {"damaged": DAMAGED, UNREAD: DISK}.get(now, DONE)
        said = pulse.read(folder)
        if said:
            mark = (said["level"], said["branch"], said["row"])
            quiet = monotonic() - said_at >= QUIET
            if mark != shown or quiet:
                print(line(said, run.metric), flush=True)
                shown, said_at = mark, monotonic()
        if telling.unheard():
            return DONE
        sleep(every)


def new_levels(folder: Path, before: int) -> int:
    """Print the levels that were not there before, with the table's head at first; count them."""
    from lottery.results.facts import Facts, level_rows
    from lottery.results.results import level_table

    rows = level_rows(folder)
    if len(rows) > before:
        head, *lines = level_table(rows, Facts(folder).metric).splitlines()
        print("\n".join([*([] if before else [head]), *lines[before:]]), flush=True)
    return len(rows)


def ending(run: Facts) -> str:
    """Return how a run stands that is not at work, and what to type to go on with it."""
    from lottery.results.formats import about
    from lottery.results.living import error_of, to_go_on

    took = run.record.get("seconds")
    words = [f"{run.state} after {about(took)}" if run.state == "done" and took else run.state]
    words += [error] if (error := error_of(run)) else []
    words += [f"to go on: {command}"] if (command := to_go_on(run)) else []
    return printable("; ".join(words))

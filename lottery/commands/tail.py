"""Follow a run while it is at work: its finished levels, then what comes.

usage: lottery tail [RUN] [every=SECONDS] [outputs=DIR]

RUN is a path, an id or the start of one, a run's name, or filters, as in `lottery ls`; without one
the run that is at work, where there is only one. Ends when the run does; Ctrl-C ends this alone.
A run that is not at work: its levels and how it stands. It may be on another machine that writes to
the same disk: as its lock may not be seen from here, its sign of life tells, which is 2 s old at
most where the clocks agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from lottery.commands import selection
from lottery.errors import INTERRUPTED, UsageError
from lottery.watching import pulse
from lottery.wording import near, printable

QUIET = 10.0  # seconds without a new row after which the step is shown


def main(arguments: list[str]) -> int:
    """Print what is there and what comes; return the exit code."""
    known = {"outputs": "outputs", "every": "1"}
    words, chosen = selection(arguments, __doc__, known)
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
    from lottery.looking import choice
    from lottery.looking.facts import Facts

    if words:
        return choice.one(outputs, words, "tail")
    working = [f for f in choice.choose(outputs, ()) if Facts(f).state == "running"]
    if len(working) == 1:
        return working[0]
    raise UsageError(
        f"tail: {len(working) or 'no'} runs are at work under {printable(outputs)}; name the one "
        "to follow (lottery ls lists them)"
    )


def follow(folder: Path, every: float) -> int:
    """Print the run's levels and rows as they come, until it is not at work any more."""
    from lottery.looking.facts import Facts

    print(printable(near(folder)), flush=True)
    levels, shown, said_at = 0, None, 0.0
    while True:
        now = Facts(folder).state  # before the tables: else the last level may come in between
        levels = new_levels(folder, levels)
        if now != "running":
            print(ending(folder, now), flush=True)
            return 0
        said = pulse.read(folder)
        if said:
            mark = (said["level"], said["branch"], said["row"])
            quiet = monotonic() - said_at >= QUIET
            if mark != shown or quiet:
                print(line(said), flush=True)
                shown, said_at = mark, monotonic()
        sleep(every)


def new_levels(folder: Path, before: int) -> int:
    """Print the levels that were not there before, with the table's head at first; count them."""
    from lottery.looking.facts import level_rows
    from lottery.looking.results import level_table

    rows = level_rows(folder)
    if len(rows) > before:
        head, *lines = level_table(rows).splitlines()
        print("\n".join([*([] if before else [head]), *lines[before:]]), flush=True)
    return len(rows)


def line(said: Mapping[str, Any]) -> str:
    """Return a sign of life as the run itself would put it."""
    from lottery.watching.progress import title, words_of
    from lottery.watching.sweep import clock

    words = [title(said["level"], said["levels"], said["branch"], said["density"])]
    scored = f"scoring for a mask, {said['step']:,} batches"
    words.append(f"step {said['step']}/{said['steps']}" if said["steps"] else scored)
    words += [words_of(said["row"])] if said["row"] else []
    words += [] if said["left"] is None else [f"run {clock(said['left'])} left"]
    return printable("  ".join(words))


def ending(folder: Path, now: str) -> str:
    """Return how a run stands that is not at work, and what to type to go on with it."""
    from lottery.formats import about
    from lottery.looking.facts import Facts

    record = Facts(folder).record
    took = record.get("seconds")
    words = [f"{now} after {about(took)}" if now == "done" and took else now]
    if now in ("failed", "stopped", "damaged") and record.get("error"):
        words.append(str(record["error"]))
    if now in ("killed", "failed") and record.get("command"):
        words.append(f"to go on: {record['command']}")
    return printable("; ".join(words))

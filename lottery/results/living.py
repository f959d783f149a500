"""Say how a run that is at work stands, and how one that is not goes on. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from lottery.progress.bars import title, words_of
from lottery.progress.sweep import clock
from lottery.results.facts import Facts
from lottery.terms.metric import ACCURACY, Metric
from lottery.wording.commands import from_here
from lottery.wording.text import printable

ASKED = "stopped; to go on"  # of a run that a signal stopped: no error, and from another folder


def line(said: Mapping[str, Any], metric: Metric = ACCURACY) -> str:
    """Return a sign of life as the run itself would put it."""
    words = [title(said["level"], said["levels"], said["branch"], said["density"])]
    scored = f"scoring for a mask, {said['step']:,} batches"
    words.append(f"step {said['step']}/{said['steps']}" if said["steps"] else scored)
    words += [words_of(said["row"], metric)] if said["row"] else []
    words += [] if said["left"] is None else [f"run {clock(said['left'])} left"]
    return printable("  ".join(words))


def error_of(run: Facts) -> str:
    """Return what went wrong with a run that is not at work; "" for nothing."""
    error = str(run.record.get("error") or "")
    return "" if error.startswith(ASKED) or run.state == "running" else error


def to_go_on(run: Facts) -> str:
    """Return what to type here to go on with a run that ended too early; "" for others."""
    command = run.record.get("command")
    if run.state not in ("killed", "failed", "stopped") or not command:
        return ""
    return from_here(str(command), run.folder.parents[2])

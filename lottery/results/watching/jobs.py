"""Find the jobs of sweeps that failed before there was a run: only their logs tell."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lottery.machine.parents import JOB
from lottery.results.living import ASKED
from lottery.results.watching.rows import LONGEST, Entry, short
from lottery.results.watching.tree import Seen
from lottery.storage.files import open_plain
from lottery.wording.text import printable

TAIL = 64 * 1024  # bytes of a log that are read
LINES, LONG = 80, 2000  # of those, lines that are shown, and characters of one
SAID, WARNING = "lottery: ", "lottery: warning: "
MOST = 50  # jobs that are shown


class Jobs:
    """The logs of jobs that end with an error."""

    def __init__(self) -> None:
        self.errors: dict[Path, tuple[str, float]] = {}  # and when that was
        self.words: dict[Path, str] = {}  # what sets each apart from the others of its sweep

    def take(self, seen: Seen) -> bool:
        """Take up logs that have changed; say whether what they end with has."""
        before = dict(self.errors)
        for log in seen.gone:
            self.errors.pop(log, None)
            self.words.pop(log, None)
        for log, changed in seen.logs.items():
            if changed:
                self.errors.pop(log, None)
                if (error := error_in(log)) is not None:
                    self.errors[log], self.words[log] = error, words_of(log)
        return self.errors != before

    def failed(self, entries: Iterable[Entry]) -> list[dict[str, Any]]:
        """Return the jobs that ended with an error and have no run, for the page, newest first."""
        if not self.errors:
            return []
        owned = {e.log for e in entries if e.log}
        some = [(log, *about) for log, about in self.errors.items() if log not in owned]
        some.sort(key=lambda one: -one[2])
        return [
            {
                "id": printable(log),
                "state": "failed",
                "label": self.words.get(log) or job,
                "place": job,
                "error": error,
                "ended": at,
                "log": short(log),
            }
            for log, error, at in some[:MOST]
            for job in [f"job {log.stem} of sweep {printable(log.parent.name)}"]
        ]

    def log(self, key: str) -> Path | None:
        """Return the log that a page calls so; None for none."""
        return next((log for log in self.errors if printable(log) == key), None)


def error_in(log: Path) -> tuple[str, float] | None:
    """Return the error with which a log ends, and when; None where it ends otherwise."""
    with contextlib.suppress(OSError):
        at = os.stat(log).st_mtime
        last = next((line for line in reversed(tail(log)) if line.strip()), "")
        said = last.removeprefix(SAID)
        if last.startswith(SAID) and not last.startswith(WARNING) and not said.startswith(ASKED):
            return said[:LONGEST], at
    return None


def words_of(log: Path) -> str:
    """Return what sets a job apart, by the first line of its log; "" where nobody wrote that."""
    with contextlib.suppress(OSError, ValueError), open_plain(log) as file:
        first = file.readline(LONG).decode(errors="replace")
        return printable(first.removeprefix(JOB).strip()) if first.startswith(JOB) else ""
    return ""


def tail(log: Path) -> list[str]:
    """Return the last lines of a log, each safe to show; a bar's redrawings only as it was last.

    Raises OSError where it cannot be read.
    """
    try:
        with open_plain(log) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read(TAIL).decode(errors="replace").split("\n")
    except ValueError as error:
        raise OSError(str(error)) from error
    drawn = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    shown = [printable(line)[:LONG] for line in drawn[-LINES - 1 :]]
    return shown[:-1] if shown and not shown[-1] else shown[-LINES:]

"""Leave a sign of life in a run's folder while its process is at work. Imports no torch.

Nothing depends on it: it is not synced, and a file that cannot be written is never an error.
"""

import contextlib
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lottery.storage import disk
from lottery.storage.files import read_plain
from lottery.storage.records import hostname, locked

NAME = ".pulse"
EVERY = 2.0  # seconds between signs, and before the first
FRESH = 180.0  # seconds for which a sign of another machine counts, whose lock may not be seen
LONGEST = 64 * 1024  # bytes
KINDS: dict[str, Any] = {  # what a sign says
    "level": int,
    "levels": int,
    "branch": str,
    "density": (int, float),
    "step": int,
    "steps": int,  # of the level; 0 while it is scored for a mask, and `step` counts batches
    "left": (int, float, type(None)),  # seconds to the end of the run; None while nobody can tell
    "at": (int, float),  # seconds since 1970
    "host": str,
    "row": dict,  # of the curve, the newest
}
POINTS = 120  # of a curve in a sign, at most


class Pulse:
    """The sign of one process at work on a run."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.temporary = disk.beside(self.path)
        self.next = time.monotonic() + EVERY

    def due(self) -> bool:
        """Say whether it is time for the next sign."""
        return time.monotonic() >= self.next

    def beat(self, news: Mapping[str, Any]) -> None:
        """Write a sign; `news` holds what KINDS lists, `at` and `host` apart.

        And `curve`, where there is one: the step and what was measured there, a pair each.
        """
        self.next = time.monotonic() + EVERY
        row = {k: v for k, v in news["row"].items() if math.isfinite(v)}
        curve = [pair for pair in news.get("curve", ()) if all(map(math.isfinite, pair))]
        said = {**news, "row": row, "curve": thinned(curve), "at": time.time(), "host": hostname()}
        data = json.dumps(said).encode()
        with contextlib.suppress(OSError):  # a disk that is full fails the run where it matters
            try:
                self._save(data)
            except OSError:
                os.unlink(self.temporary)

    def _save(self, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        handle = os.open(self.temporary, flags, 0o666)
        try:
            whole = os.write(handle, data) == len(data)
        finally:
            os.close(handle)
        if whole:  # else the disk is full, and the sign before stays
            os.replace(self.temporary, self.path)
        else:
            os.unlink(self.temporary)

    def end(self) -> None:
        """Take the sign away: that of this process, or one that a killed process left."""
        with contextlib.suppress(OSError):  # one that stays is known by a lock that nobody holds
            if os.path.lexists(self.path):
                os.unlink(self.path)


def read(folder: Path) -> dict[str, Any] | None:
    """Return the newest sign of the process that works on a run; None where none does.

    That is known by the run's lock. A lock of another machine may not be seen here; its sign counts
    while it is fresh.
    """
    try:
        said = json.loads(read_plain(folder / NAME, LONGEST))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not all(isinstance(said.get(k), KINDS[k]) for k in KINDS):
        return None
    if not all(isinstance(k, str) and isinstance(v, int | float) for k, v in said["row"].items()):
        return None
    try:
        fresh = abs(age(said)) < FRESH
    except OverflowError:  # a time of so many digits is none
        return None
    elsewhere = said["host"] != hostname() and fresh
    return said if locked(folder / ".lock") or elsewhere else None


def curve(said: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return the steps of the level at work and what was measured there; [] for none."""
    pairs = said.get("curve")
    try:
        found = [(float(step), float(value)) for step, value in pairs or ()]
    except (TypeError, ValueError, OverflowError):
        return []
    return [pair for pair in found if all(map(math.isfinite, pair))]


def thinned(curve: Sequence[Any], most: int = POINTS) -> list[Any]:
    """Return at most so many of the points of a curve, spread evenly, both ends among them."""
    if len(curve) <= most:
        return list(curve)
    return [curve[round(at * (len(curve) - 1) / (most - 1))] for at in range(most)]


def age(said: Mapping[str, Any]) -> float:
    """Return the seconds since a sign was given, by this machine's clock."""
    return time.time() - float(said["at"])

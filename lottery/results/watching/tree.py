"""Find runs and the logs of sweeps, and notice what changes, at a cost that is bounded.

Folders, runs and logs are looked at in turns, so many at a time; what is new is looked at at once.
Nothing is read of what has not changed: names, times and sizes tell.
"""

import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lottery.results.folders import REPLICATE
from lottery.storage.records import CONFIG, MANIFEST, RUN
from lottery.wording.text import printable

TURN = 250  # places that are looked at each time, besides those at work
FILES = (RUN, "metrics.csv", CONFIG, MANIFEST)  # whose times and sizes are those of a run
SWEEPS = ".sweeps"
LOG = re.compile(r"[0-9]{1,9}\.log")
NONE_OF_RUNS = ("store", "boards")
DEPTH = 3  # folders from outputs to a run, or to a log
SURE = 2.0  # seconds after which a time tells whether something was changed since
Stamp = tuple[object, ...]


@dataclass
class Seen:
    """What one look has found: each run and log that was looked at, and whether it has changed."""

    runs: dict[Path, bool] = field(default_factory=dict)
    logs: dict[Path, bool] = field(default_factory=dict)
    gone: set[Path] = field(default_factory=set)


class Tree:
    """What lies under folders of runs, as it was seen last."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = list(roots)
        self.stamps: dict[Path, Stamp] = {}  # of every place that is known
        self.depth: dict[Path, int] = dict.fromkeys(self.roots, 0)
        self.below: dict[Path, set[Path]] = {}
        self.turns: deque[Path] = deque()
        self.runs: set[Path] = set()
        self.told: dict[Path, str] = {}  # what cannot be read, and why

    def look(self, first: Iterable[Path] = (), most: int = TURN) -> Seen:
        """Look at the roots, at the places named, and at `most` others whose turn it is."""
        seen = Seen()
        for root in self.roots:
            self.visit(root, seen)
        for place in first:
            if place in self.depth:
                self.visit(place, seen)
        for _ in range(min(most, len(self.turns))):
            place = self.turns.popleft()
            if place in self.depth:  # else it is gone
                self.turns.append(place)
                self.visit(place, seen)
        return seen

    def visit(self, place: Path, seen: Seen) -> None:
        """Look at a place, and at what is new in it."""
        if place in seen.runs or place in seen.logs or place not in self.depth:
            return
        if self.depth[place] == DEPTH:
            (self.visit_log if LOG.fullmatch(place.name) else self.visit_run)(place, seen)
            return
        stamp = stamp_of(place)
        if stamp == self.stamps.get(place):
            return
        self.stamps[place] = stamp
        self.told.pop(place, None)
        there = self.inside(place)
        for child in self.below.get(place, set()) - there:
            self.forget(child, seen)
        new = there - self.below.get(place, set())
        self.below[place] = there
        for child in sorted(new):
            self.depth[child] = self.depth[place] + 1
            self.turns.append(child)
            self.visit(child, seen)

    def visit_run(self, place: Path, seen: Seen) -> None:
        """Look at the files of a run; without run.json it is none, or none yet."""
        stamp = tuple(stamp_of(place / name) for name in FILES)
        if not stamp[0]:
            if place in self.runs:
                self.runs.discard(place)
                self.stamps.pop(place, None)
                seen.gone.add(place)
            return
        seen.runs[place] = stamp != self.stamps.get(place)
        self.runs.add(place)
        self.stamps[place] = stamp

    def visit_log(self, place: Path, seen: Seen) -> None:
        """Look at the log of a job."""
        stamp = stamp_of(place)
        seen.logs[place] = stamp != self.stamps.get(place)
        self.stamps[place] = stamp

    def inside(self, place: Path) -> set[Path]:
        """Return what lies in a folder that may be of runs or logs; notes what cannot be read."""
        try:
            return set(self.children(place))
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            self.told[place] = f"{printable(place)} is left out: {error.strerror}"
            return set()

    def children(self, place: Path) -> Iterator[Path]:
        """Yield what lies in a folder, as far as it is looked at."""
        depth, logs = self.depth[place], SWEEPS in (place.name, place.parent.name)
        for name in os.listdir(place):
            if depth == 0 and name in NONE_OF_RUNS:
                continue
            if depth == DEPTH - 1 and not (LOG if logs else REPLICATE).fullmatch(name):
                continue
            yield place / name

    def forget(self, place: Path, seen: Seen) -> None:
        """Forget a place that is gone, with all that lay in it."""
        for child in self.below.pop(place, set()):
            self.forget(child, seen)
        self.stamps.pop(place, None)
        self.told.pop(place, None)
        self.depth.pop(place, None)
        self.runs.discard(place)
        seen.gone.add(place)


def stamp_of(path: Path) -> Stamp:
    """Return what changes with a file or folder; () where there is none.

    A time that has just been is no proof that nothing followed within it: such a stamp is like no
    other.
    """
    try:
        about = os.stat(path)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        return () if missing else (error.errno,)
    fresh = abs(time.time() - about.st_mtime) < SURE
    unlike = (time.monotonic_ns(),) if fresh else ()
    return (about.st_mtime_ns, about.st_size, about.st_ino, *unlike)

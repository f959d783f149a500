"""Count the jobs of one command, and the time that they take."""

import heapq
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """What a command did for one run."""

    folder: Path
    counts: dict[str, int]  # levels and branches: trained, shared, already there
    seconds: float


@dataclass
class Sweep:
    """How far the jobs of one command are; `total` is None where nobody tells how many."""

    total: int | None = 1
    done: int = 0
    failed: int = 0
    spent: list[float] = field(default_factory=list)  # seconds of each job that ended
    begun: float = 0.0  # of the job at work
    job: str = ""  # what it is, in words
    tabled: bool = False  # whether a job has shown its table; a line is enough of the others
    verdicts: dict[str, str] = field(default_factory=dict)  # config -> over its replicates so far

    @property
    def over(self) -> int:
        """How many jobs came to an end, good or bad."""
        return self.done + self.failed

    def begin(self, job: str) -> None:
        """Go on to the next job."""
        self.job, self.begun = job, time.monotonic()

    def end(self, failed: bool) -> None:
        """Count the job at work as done or failed."""
        self.spent += [] if failed else [time.monotonic() - self.begun]
        self.failed += failed
        self.done += not failed

    def left(self, present: float | None) -> float | None:
        """Return the seconds that all jobs still take; `present` are those of the job at work.

        Jobs to come are taken to be as long as those so far on average, the present one among
        them. None where that cannot be told yet.
        """
        here = [] if present is None else [time.monotonic() - self.begun + present]
        known = self.spent + here
        if self.total is None or not known:
            return None
        later = self.total - self.over - len(here)
        return (present or 0.0) + later * sum(known) / len(known)

    def news(self, present: float | None) -> str:
        """Return in words how many jobs are done, at work and failed, and the time left."""
        words = [f"{self.done} of {self.total or '?'} done", "1 running"]
        words += [f"{self.failed} failed"] if self.failed else []
        left = self.left(present)
        words += [] if left is None else [f"{clock(left)} left"]
        return f"sweep: {', '.join(words)}"


def makespan(present: Sequence[float], later: Iterable[float], places: int) -> float:
    """Return the seconds until all jobs have ended, each begun where a place is first free.

    `present` are the seconds left of those at work, `later` those of the others in their order.
    """
    ends = [*present, *[0.0] * (places - len(present))]
    heapq.heapify(ends)
    for seconds in later:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends, default=0.0)


def clock(seconds: float) -> str:
    """Return a length of time as 0:07, 3:20 or 2:05:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

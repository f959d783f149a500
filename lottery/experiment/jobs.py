"""Run the configs of one command, one after the other, and remember what each came to."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lottery.config import blame
from lottery.config.composed import Composed
from lottery.errors import LockedError, LotteryError, Stopped, UsageError
from lottery.machine import signals
from lottery.progress.sweep import Ran, Sweep, clock
from lottery.storage.records import ANALYSES, busy, locked
from lottery.wording.text import near, printable

if TYPE_CHECKING:
    from lottery.experiment.pool import Pool


@dataclass
class Jobs:
    """The jobs of one command; a failure of one is kept for the end, so that a sweep goes on."""

    typed: str  # the command that goes on with them
    sweep: bool
    ran: list[tuple[str, Ran]] = field(default_factory=list)
    failures: list[tuple[str, Exception]] = field(default_factory=list)
    stopped: Stopped | None = None
    left: int = 0  # jobs that were not begun, since the disk was full
    pool: Pool | None = None  # of the jobs for workers
    order: dict[str, int] = field(default_factory=dict)  # words of a job -> its place in the sweep
    course: Sweep = field(default_factory=Sweep)
    begun: float = field(default_factory=time.monotonic)
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Jobs:
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.close()

    def take(self, job: Composed) -> None:
        """Run one config; after a signal, none that is left. Where there are workers, later."""
        self.order[" ".join(job.overrides)] = job.number
        self.ahead(job)
        if self.pool and self.wants_workers(job):
            self.pool.add(job)
            return
        if self.stopped:
            return
        words, self.course.total = " ".join(job.overrides), job.total
        try:
            ran = self.execute(job, words)
        except Stopped as error:
            self.stopped = error
        except SystemExit as error:  # of a component or a board
            self.fail(words, blame.ExitError(f"a component called sys.exit({error.code!r})"))
        except Exception as error:  # noqa: BLE001 (raised again at the end, or listed there)
            self.fail(words, blame.in_words(error))
        else:
            self.ran.append((words, ran))
            self.course.end(failed=False)

    def wants_workers(self, job: Composed) -> bool:
        """Say whether a job is to run in a process of its own, beside others."""
        if isinstance(job.filled, UsageError) or str(job.settings["host"]["workers"]) == "1":
            return False
        if not self.sweep:
            raise UsageError("host.workers: several runs at a time are for -m, and this is one run")
        return True

    def ahead(self, first: Composed) -> None:
        """Let workers import what they need while the rest of a sweep is being composed."""
        if self.pool is None and self.wants_workers(first):
            from lottery.experiment.pool import Pool

            self.course.total = first.total
            self.pool = self.closing.enter_context(Pool(first, self.typed, self.course))

    def finish(self) -> None:
        """Run the jobs that wait for workers."""
        if self.pool is None:
            return
        from lottery.experiment.worker import JobError

        pool = self.pool
        try:
            pool.run()
        except Stopped as error:
            self.stopped = error
        for job in pool.jobs:
            if job.code == 0:
                self.ran.append((job.words, Ran(job.folder, job.did, job.seconds)))
            elif job.code is not None and not self.stopped:
                self.failures.append((job.words, JobError(job)))
        self.left = sum(job.code is None for job in pool.jobs) if pool.full else 0
        self.course.verdicts |= verdicts({job.folder.parent for job in pool.jobs})
        self.failures.sort(key=lambda failure: self.order[failure[0]])

    def fail(self, words: str, error: Exception) -> None:
        """Note that a config failed; of a sweep, say so now."""
        self.failures.append((words, error))
        self.course.end(failed=True)
        if self.sweep:
            print(f"lottery: {one_line(error)}", file=sys.stderr)

    def execute(self, job: Composed, words: str) -> Ran:
        """Bind, check, lock and run one config."""
        from lottery.config import build
        from lottery.config.identity import run_folder

        signals.leave_if_asked()
        settings = job.settings
        folder = run_folder(settings, job.name)
        if locked(folder / ".lock"):  # before anything that takes long to import or to read
            raise LockedError(busy(folder))
        parts = build.parts(settings)
        from lottery.experiment import launch

        signals.leave_if_asked()
        self.course.begin(words)  # after the imports, which only the first job pays for
        course = self.course if self.sweep else None
        return launch.launch(settings, parts, job.name, self.typed, job.choices, sweep=course)

    def summary(self) -> str:
        """Return how many jobs are done, and a line a job: what it did, in what time, and where."""
        cells = [
            (
                ", ".join(f"{number} {how}" for how, number in ran.counts.items() if number),
                clock(ran.seconds),
                near(ran.folder),
                words,
            )
            for words, ran in self.ran
        ]
        widths = [max(map(len, column)) for column in zip(*cells)]
        over = self.course.total or len(self.ran) + len(self.failures)
        spent = clock(time.monotonic() - self.begun)
        lines = [f"sweep: {len(self.ran)} of {over} runs done in {spent}"]
        lines += ["  " + "  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        lines += [f"  failed: {words}: {one_line(error)}" for words, error in self.failures]
        if self.left:
            lines.append(f"  {self.left} not begun, as the disk is full; the same command goes on")
        said = [f"\n{printable(base)}\n{table}" for base, table in self.course.verdicts.items()]
        return "\n".join([*map(printable, lines), *said])

    @property
    def code(self) -> int:
        """The exit code of the first failure; 0 where there is none."""
        codes = [e.code if isinstance(e, LotteryError) else 1 for _, e in self.failures]
        return codes[0] if codes else 0


def verdicts(bases: Iterable[Path]) -> dict[str, str]:
    """Return verdicts and what analyses found over replicates, where there are some, by folder."""
    found: dict[str, str] = {}
    judged = sorted(
        base
        for base in bases
        if (base / "sanity.csv").exists() or any(base.glob(f"*/{ANALYSES}/*.csv"))
    )
    if not judged:
        return found
    from lottery.results.analyses import texts
    from lottery.results.facts import Facts
    from lottery.results.folders import runs_in
    from lottery.results.sanity import judge, sanity_table

    for base in judged:
        folders = runs_in(base)
        rows = judge(folders)
        said = [sanity_table(rows, Facts(folders[0]).metric)] if rows else []
        if said := [*said, *texts(folders)]:
            found[near(base)] = "\n\n".join(said)
    return found


def one_line(error: Exception) -> str:
    """Return an error on one line, its kind in front where it is none of ours."""
    kind = "" if isinstance(error, LotteryError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())

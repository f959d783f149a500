"""Run the jobs of a sweep in processes of their own, several at a time, each the ordinary command.

The disk is the message: what a job came to is its exit code and its run.json. How many there are at
a time, and in which order they end, changes no number of any of them.
"""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lottery.config.build import check_host
from lottery.config.composed import Composed
from lottery.config.identity import run_folder
from lottery.errors import (
    DAMAGED,
    DISK,
    DIVERGED,
    DONE,
    HUNG_UP,
    INTERRUPTED,
    LOCKED,
    REQUEUE,
    TERMINATED,
    USAGE,
    Stopped,
    UsageError,
)
from lottery.experiment.dense import dense_of, in_order
from lottery.experiment.local_place import LocalPlace
from lottery.experiment.place import Place
from lottery.experiment.worker import Job, did, last_line, left_undone, threads_of
from lottery.machine import signals
from lottery.progress import pulse
from lottery.progress.screen import Screen
from lottery.progress.sweep import Sweep, clock, makespan

TICK = 0.05  # seconds between looks at the processes
SENT = {INTERRUPTED: "SIGINT", TERMINATED: "SIGTERM", REQUEUE: "SIGUSR1", HUNG_UP: "SIGHUP"}
FINAL = (1, USAGE, DAMAGED, DISK, DIVERGED)  # exit codes after which another try would end alike
PAUSES = (1.0, 4.0, 16.0)  # seconds before another try of what was killed, the last for all later
BUSY_TRIES, BUSY_PAUSE = 5, 30.0  # tries of a run that another process holds, seconds between
STOPS = 20  # tries of a run that somebody else asks to stop
SILENT = {DISK: "its disk is full, or did not answer"}  # where a log could not be written either
NO_MEMORY = "the memory of this machine does not suffice"
LOGS = ".sweeps"


class Pool:
    """The processes at work on a sweep; a context that ends with all of them.

    `first` is a job whose settings of the machine are those of all.
    """

    def __init__(self, first: Composed, typed: str, course: Sweep) -> None:
        self.host = first.settings["host"]
        check_host(self.host)
        self.typed, self.course, self.retries = typed, course, self.host["retries"]
        name = hashlib.sha256(typed.encode()).hexdigest()[:10]
        self.logs = Path(first.settings["outputs"]).expanduser().absolute() / LOGS / name
        self.place = place_of(self.host, self.logs)
        self.jobs: list[Job] = []
        self.waiting: list[Job] = []
        self.running: list[Job] = []
        self.screen = Screen(self.host["progress"], self.lines)
        self.passed: int | None = None  # the code of the signal that was passed on
        self.full = False  # whether the disk was

    def __enter__(self) -> Pool:
        signals.AT_ONCE.append(self.kill)
        return self

    def __exit__(self, *error: object) -> None:
        self.screen.clear()
        signals.AT_ONCE.remove(self.kill)
        self.kill()
        self.place.close()

    def add(self, composed: Composed) -> Job:
        """Take a job that is to be run; raises UsageError where it asks for another machine."""
        settings = composed.settings
        for key in ("workers", "gpus_per_job", "threads_per_job", "retries"):
            if settings["host"][key] != self.host[key]:
                raise UsageError(f"host.{key}: the jobs of a sweep share one; give a single value")
        folder = run_folder(settings, composed.name)
        fixed = self.host["threads"] or self.host["threads_per_job"]
        begun = None if fixed else threads_of(folder)  # with which a run that is there goes on
        log = self.logs / f"{composed.number}.log"
        job = Job(composed, folder, dense_of(settings), log, begun or self.place.threads)
        self.jobs.append(job)
        self.waiting.append(job)
        return job

    def run(
        self,
        more: Callable[[], object] = lambda: None,
        over: Callable[[Job], object] = lambda job: None,
    ) -> None:
        """Run all jobs; raises Stopped after a signal, once every process has ended.

        `more` is called when one more could start, and may add some; `over` when one came to its
        end, good or bad, and is not tried again.
        """
        self.waiting = in_order(self.waiting)
        while True:
            self.pass_on(self.running)
            if self.passed or self.full:
                self.waiting.clear()
            elif not self.waiting and self.place.slots.free:
                more()
            if not self.waiting and not self.running:
                break
            for job in self.startable():
                self.waiting.remove(job)
                job.start(self.place, self.typed)
                self.running.append(job)
            for job in [j for j in self.running if j.process and j.process.poll() is not None]:
                self.running.remove(job)
                if self.ended(job):
                    self.waiting.append(job)
                else:
                    over(job)
            self.screen.update()
            self.place.wait(TICK)
        if self.passed:
            raise Stopped(f"stopped; to go on from here: {self.typed}", self.passed)

    def startable(self) -> Iterator[Job]:
        """Yield the jobs to start now, while there are slots.

        One whose dense level is being trained by another comes after those that need not wait. Of
        several for one run, as with levels=1,3, there is one at a time.
        """
        now, held = time.monotonic(), {job.folder for job in self.running}
        ready = [job for job in self.waiting if job.ready <= now]
        at_work = {j.dense for j in self.running if not (j.folder / "level_00").exists()}
        for job in sorted(ready, key=lambda job: job.dense in at_work):
            if job.folder in held or not self.place.ready(job.threads):
                continue
            slot = self.place.slots.take(job.alone)
            if slot is None:
                return
            job.slot = slot
            held.add(job.folder)
            yield job

    def ended(self, job: Job) -> bool:
        """Take note of how a process ended; say whether its job is to be tried again."""
        assert job.process is not None and job.process.returncode is not None
        code = job.process.returncode
        self.place.slots.give(job.slot)
        job.seconds += time.monotonic() - job.begun
        job.code, job.process = code, None
        if code == DONE and not left_undone(job.folder):
            job.did = did(job.folder)
            self.course.end(failed=False)
            self.tell(job, f"done in {clock(job.seconds)}")
            return False
        job.error = last_line(job.log) or SILENT.get(code, f"it ended with exit code {code}")
        if code == DONE:  # a library that it calls may end it
            job.code = code = 1
            job.error = "its process ended in the midst of the run, with exit code 0"
        elif code < 0:
            job.error = f"killed by {signals.name(-code)}"
        self.full |= code == DISK
        if self.passed is None and (why := self.another_try(job, code)):
            self.tell(job, f"{why}; again in {job.ready - time.monotonic():.0f} s")
            return True
        if self.passed is None:
            self.course.end(failed=True)
            self.tell(job, f"failed: {job.error}")
        return False

    def another_try(self, job: Job, code: int) -> str:
        """Return why a job is to be tried again, and set when; "" where it is not."""
        shared = bool(job.slot.devices) and job.slot.share < 1
        if NO_MEMORY in job.error and shared:
            kind, most, pause, why = "memory", 1, 1.0, "the memory of its device did not suffice"
            job.alone = True
        elif code == LOCKED:
            kind, most, pause, why = "busy", BUSY_TRIES, BUSY_PAUSE, "another process holds it"
        elif code in SENT:
            kind, most, pause, why = "stopped", STOPS, 1.0, "it was asked to stop"
        elif code < 0 or code not in FINAL:
            done = job.tries.get("killed", 0)
            pause = PAUSES[min(done, len(PAUSES) - 1)]
            kind, most, why = "killed", self.retries, job.error
        else:
            return ""
        job.tries[kind] = job.tries.get(kind, 0) + 1
        job.ready = time.monotonic() + pause
        return why if job.tries[kind] <= most else ""

    def pass_on(self, running: Sequence[Job]) -> None:
        """Pass the first signal on to every process, once."""
        if not signals.pending() or self.passed is not None:
            return
        self.passed = signals.ASKED[0]
        for job in running:
            if job.process is not None:
                job.process.send_signal(getattr(signal, SENT.get(self.passed, "SIGTERM")))

    def kill(self) -> None:
        """Kill every process that is still at work."""
        for job in self.running:
            if job.process is not None:
                job.process.kill()

    def tell(self, job: Job, what: str) -> None:
        """Print a line about a job."""
        self.screen.say(f"{job.words}: {what}")

    def lines(self) -> list[str]:
        """Return a line for the sweep and one for each process."""
        signs = [(job, pulse.read(job.folder) or {}) for job in self.running]
        width = max((len(job.words) for job in self.running), default=0)
        lines = [self.news([(job, sign.get("left")) for job, sign in signs])]
        for job, sign in signs:
            lines.append(f"  {job.words.ljust(width)}  {job.at(sign)}")
        return lines

    def news(self, running: Sequence[tuple[Job, float | None]]) -> str:
        """Return in words how many jobs are done, at work and failed, and the time left.

        Jobs to come are taken to be as long as those were that had something to train.
        """
        course, now = self.course, time.monotonic()
        words = [f"{course.done} of {len(self.jobs)} done", f"{len(self.running)} running"]
        words += [f"{course.failed} failed"] if course.failed else []
        done = [job for job in self.jobs if job.code == DONE]
        known = [job.seconds for job in done if job.did.get("trained")]
        known += [now - job.begun + left for job, left in running if left is not None]
        known = known or [job.seconds for job in done]
        if known:
            mean = sum(known) / len(known)
            present = [
                max(0.0, mean - (now - job.begun)) if left is None else left
                for job, left in running
            ]
            later = [mean] * (len(self.jobs) - course.over - len(running))
            words.append(f"{clock(makespan(present, later, self.place.slots.jobs))} left")
        return f"sweep: {', '.join(words)}"


def place_of(host: Mapping[str, Any], logs: Path) -> Place:
    """Return where the jobs run, by the settings of the machine; raises UsageError."""
    if str(host["workers"]).partition(":")[0] == "ray":
        from lottery.experiment.ray_place import RayPlace

        return RayPlace(host, logs)
    return LocalPlace(host)

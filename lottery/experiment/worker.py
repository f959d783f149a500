"""Hold one run of a sweep with a process of its own: how it is started, and how it ended."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lottery.config.composed import Composed
from lottery.errors import LotteryError
from lottery.experiment.place import Place, Process
from lottery.machine.parents import COMMAND, JOB, LOG
from lottery.machine.slots import Slot
from lottery.progress.sweep import clock
from lottery.storage import disk
from lottery.storage.records import locked, read_record, read_run
from lottery.wording.text import near, printable


@dataclass
class Job:
    """One run of a sweep, and what came of it so far."""

    composed: Composed
    folder: Path
    dense: str  # equal for runs that begin with the same dense level
    log: Path
    threads: int
    process: Process | None = None
    slot: Slot = Slot()
    begun: float = 0.0
    tries: dict[str, int] = field(default_factory=dict)  # by why there was another
    ready: float = 0.0  # when it may be started (again)
    alone: bool = False  # whether it is to share its device with no other
    code: int | None = None
    error: str = ""
    seconds: float = 0.0
    did: dict[str, int] = field(default_factory=dict)  # levels trained, shared, there
    typed: str = ""  # the command on its record, where that is not what was typed for all

    @property
    def words(self) -> str:
        """What sets it apart from the other jobs."""
        return " ".join(self.composed.overrides)

    def start(self, place: Place, typed: str) -> None:
        """Start the command that does this run alone, for the sweep that was `typed`."""
        own = ("host.workers=1", f"host.threads={self.threads}", "host.progress=lines")
        words = ["run", *self.composed.words, *own]
        disk.make_folder(self.log.parent)
        if not self.tries:  # a log is of this command alone
            self.log.write_bytes(f"{JOB}{printable(self.words)}\n".encode())
        own_log = "/".join(self.log.parts[-3:])  # .sweeps/ID/NUMBER.log
        more = {COMMAND: self.typed or typed, LOG: own_log}
        self.process = place.start(words, more, self.threads, self.slot, self.log)
        self.begun = time.monotonic()

    def at(self, sign: Mapping[str, Any]) -> str:
        """Return in words what it is at, by its run's sign of life."""
        where = [",".join(f"gpu{device}" for device in self.slot.devices)] * bool(self.slot.devices)
        if not sign:
            return "  ".join([*where, "starts"])
        words = [*where, f"level {sign['level']}/{sign['levels']} {sign['branch']}".rstrip()]
        words.append(f"step {sign['step']:,}/{sign['steps']:,}" if sign["steps"] else "scores")
        words += [] if sign["left"] is None else [f"{clock(sign['left'])} left"]
        return "  ".join(words)


class JobError(LotteryError):
    """A job of a sweep failed in its own process."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"{job.error} (log: {near(job.log)})")
        self.code = job.code if job.code is not None and job.code > 0 else 1


def last_line(log: Path) -> str:
    """Return the last line of a log that says what went wrong, without the name of the program."""
    with contextlib.suppress(OSError), open(log, "rb") as file:
        tail = tail_of(file).decode(errors="replace").splitlines()
        said = [line for line in tail if line.startswith("lottery: ")] or [
            line for line in tail if line and not line.startswith(JOB)
        ]
        return said[-1].removeprefix("lottery: ") if said else ""
    return ""


def tail_of(file: IO[bytes]) -> bytes:
    """Return the end of a file."""
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - 64 * 1024))
    return file.read()


def did(folder: Path) -> dict[str, int]:
    """Return what the last command did for a run, by its record: levels trained, shared, there."""
    found = read_record(folder).get("did", {})
    return {str(how): int(number) for how, number in found.items()}


def left_undone(folder: Path) -> bool:
    """Say whether nobody works on a run that its record tells to be at work, or has none."""
    running = read_record(folder).get("state") in (None, "running")
    return running and not locked(folder / ".lock")


def threads_of(folder: Path) -> int | None:
    """Return the threads that a run was begun with; None where it was not begun."""
    try:
        found = read_run(folder).get("threads")
    except (LotteryError, OSError):
        return None
    return found if isinstance(found, int) and found > 0 else None

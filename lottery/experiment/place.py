"""What a sweep asks of the place where its jobs run: this machine, or others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from lottery.machine.slots import Slot, Slots


class Process(Protocol):
    """What there is to know of the process of a job, wherever it is."""

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it is at work, as far as is known."""

    def poll(self) -> int | None:
        """Look whether it has ended, and return its exit code."""

    def send_signal(self, number: int, /) -> None:
        """Send it a signal, where it is still at work."""

    def kill(self) -> None:
        """Kill it at once, with all that it has started, where it is still at work."""


class Place(Protocol):
    """Where the jobs of a sweep run."""

    slots: Slots  # what it has, and what of it is taken
    threads: int  # that a job has there

    def ready(self, threads: int) -> bool:
        """Say whether a process of so many threads could begin at once."""

    def start(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        threads: int,
        slot: Slot,
        log: Path,
    ) -> Process:
        """Start `lottery WORDS` with more variables, printing to a file that is there."""

    def wait(self, seconds: float) -> None:
        """Wait until there may be news of a process, at most for so many seconds."""

    def close(self) -> None:
        """Give back what was taken for the sweep."""

"""Say on stderr how far a long piece of work is."""

import sys
import threading
import time

SAY_EVERY = 5.0  # seconds between two lines of progress


class Progress:
    """Say how far a piece of work is: one line that moves, on a terminal.

    With `patient` nothing is said of work that takes less than a moment.
    """

    def __init__(self, what: str, total: int, patient: bool = False) -> None:
        self.what, self.total, self.done = what, total, 0
        self.begun = self.said = time.monotonic()
        self.guard = threading.Lock()
        self.moves = sys.stderr.isatty()
        self.silent = patient
        if not patient:
            self.say(what, end="" if self.moves else "\n")

    def add(self, number: int) -> None:
        """Count what is done."""
        with self.guard:
            self.done += number
            if time.monotonic() - self.said > SAY_EVERY / (10 if self.moves else 1):
                self.said, self.silent = time.monotonic(), False
                self.say(f"{self.what}: {self.done / self.total:.0%}", "" if self.moves else "\n")

    def end(self) -> None:
        """Say how long it took."""
        if not self.silent:
            self.say(f"{self.what}: {time.monotonic() - self.begun:.1f} s", "\n")

    def say(self, line: str, end: str) -> None:
        print(f"\r{line}" if self.moves else line, end=end, file=sys.stderr, flush=True)

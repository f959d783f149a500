"""Show what several processes are at: a line each, redrawn on a terminal. Imports no torch."""

import os
import sys
import time
from collections.abc import Callable, Sequence

from lottery.wording.text import printable

REDRAW = 0.5  # seconds between drawings on a terminal
LINE_EVERY = 60.0  # seconds between lines in a log
WIDE = 100  # columns where nobody tells how many there are


class Screen:
    """Some lines at the end of stderr that change, below those that stay.

    `style` is that of a run's progress: bar redraws, lines gives the first line now and then, none
    shows only what is said; auto is a bar on a terminal and lines elsewhere.
    """

    def __init__(self, style: str, lines: Callable[[], Sequence[str]]) -> None:
        terminal = sys.stderr.isatty()
        self.style = ("bar" if terminal else "lines") if style == "auto" else style
        self.lines, self.shown, self.drawn = lines, 0, time.monotonic()

    def update(self) -> None:
        """Draw anew where it is time."""
        every = REDRAW if self.style == "bar" else LINE_EVERY
        if self.style == "none" or time.monotonic() - self.drawn < every:
            return
        self.drawn = time.monotonic()
        if self.style == "bar":
            self.draw()
        else:
            self.write(printable(self.lines()[0]))

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self.clear()
        self.write(printable(line))
        if self.style == "bar":
            self.draw()

    def draw(self) -> None:
        """Draw the lines in place of those that were there."""
        self.clear()
        most = width() - 1
        lines = [printable(line)[:most] for line in self.lines()]
        self.write("\n".join(lines))
        self.shown = len(lines)

    def clear(self) -> None:
        """Take the lines away that change."""
        if self.shown:
            self.write(f"\x1b[{self.shown}F\x1b[J", end="")
            self.shown = 0

    def write(self, text: str, end: str = "\n") -> None:
        """Print to stderr."""
        print(text, end=end, file=sys.stderr, flush=True)


def width() -> int:
    """Return the columns of the terminal that people watch."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or WIDE
    except (OSError, ValueError):  # no terminal, or a stream without a file
        return WIDE

"""Show where a run is, and a sweep with it: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tqdm import tqdm

from lottery.progress.pulse import Pulse, thinned
from lottery.progress.sweep import Sweep, clock
from lottery.storage.warned import Warned, warned
from lottery.terms.metric import ACCURACY, Metric

if TYPE_CHECKING:
    from lottery.terms.task import Task

LINE_EVERY = 2.0  # seconds between plain lines within a level
WIDE = 140  # columns from which a bar has room for all that there is to say
NARROW, TAKEN = "{desc} {percentage:3.0f}%|{bar}|", 14  # with a bar of 6 places at least
Row = dict[str, float]


class Follower(Protocol):
    """Who else wants to know how a run goes on."""

    def curve(self, level: int, branch: str, rows: Sequence[Row]) -> None:
        """Take notice of a level's curve so far, after each of its rows."""

    def tables(self) -> None:
        """Take notice that the run's tables have been written, after each level."""


class Progress:
    """Follow the levels of one run; `style` is auto, bar, lines or none.

    `pulse` and `followers` are told as well, where there are any, whatever the style.
    """

    def __init__(self, style: str, levels: int, sweep: Sweep | None = None) -> None:
        self.one = style in ("auto", "bar") and in_notebook()  # one bar, of the whole command
        if style == "auto":
            style = "bar" if self.one or sys.stderr.isatty() else "lines"
        self.style, self.levels, self.sweep = style, levels, sweep
        self.pulse: Pulse | None = None
        self.followers: list[Follower] = []
        self.warnings: list[Warned] = []  # what people were warned of so far
        self.keep: Callable[[], None] | None = None  # is told of each that is new
        self.bar: Any = None
        self.jobs: Any = None  # the line of the sweep below the bar
        self.title, self.branch, self.index = "", "", 0
        self.density, self.later = 1.0, 0
        self.done = self.total = 0
        self.printed = self.started = 0.0
        self.begun = 0
        self.newest: Row = {}
        self.rows: Sequence[Row] = ()  # of the level's curve so far
        self.announced = False  # whether people know of which job of a sweep they see the levels

    def level(self, index: int, density: float, later: int, branch: str = "") -> None:
        """Announce a level; `later` counts the steps of the levels after it."""
        self.index, self.branch, self.density, self.later = index, branch, density, later
        self.title = title(index, self.levels, branch, density)

    def begin(self, done: int, total: int, task: Task) -> None:
        """Start or go on with the level's steps."""
        self.done = self.begun = done
        self.total, self.task = total, task
        self.newest, self.rows = {}, ()
        self.started = self.printed = time.monotonic()
        if self.style == "lines" and self.sweep is not None and not self.announced:
            self.say(f"{self.sweep.news(None)}; now {self.sweep.job}")
        self.announced = True
        if self.style == "bar" and self.one:
            self.bar = whole_bar(self.bar, done, total, self.later, self.sweep is not None)
            of = f"run {self.sweep.over + 1}/{self.sweep.total or '?'}  " if self.sweep else ""
            self.bar.set_description_str(f"{of}{self.title}")
        elif self.style == "bar":
            self.bar = tqdm(
                total=total, initial=done, desc=self.title, unit="step", leave=False,
                dynamic_ncols=True, bar_format=None if columns() >= WIDE else NARROW,
            )  # fmt: skip
            if self.sweep is not None and self.jobs is None:
                self.jobs = tqdm(bar_format="{desc}", position=1, leave=False)
                self.jobs.set_description_str(self.sweep.news(None))

    def advance(self) -> None:
        """Count one step."""
        self.done += 1
        if self.bar is not None:
            self.bar.update(1)
        if self.pulse is not None and self.pulse.due():
            self.beat(self.pulse)

    def back(self, done: int) -> None:
        """Go back to so many steps."""
        self.begun -= self.done - done
        self.done = done
        if self.bar is not None and self.one:
            self.bar.n = max(0, self.bar.total - self.later - self.total + done)
            self.bar.refresh()
        elif self.bar is not None:
            self.bar.reset(self.total)
            self.bar.update(done)

    def row(self, curve: Sequence[Row]) -> None:
        """Show the newest row of a curve."""
        row = self.newest = curve[-1]
        self.rows = curve
        clock = time.monotonic()
        for follower in self.followers:
            follower.curve(self.index, self.branch, curve)
        self.started += (
            time.monotonic() - clock
        )  # what a board takes to open is no pace of training
        if self.style == "none":
            return
        now, last = time.monotonic(), self.done == self.total
        if self.bar is not None:
            self.tell_beside(row)
            if self.jobs is not None and self.sweep is not None:
                self.jobs.set_description_str(self.sweep.news(self.left()))
            if last and not self.one:
                self.bar.close()
                self.bar = None
        elif last or now - self.printed >= LINE_EVERY:
            self.printed = now
            self.say(f"{self.title}  {self.news(row, times=True)}")

    def tables(self) -> None:
        """Tell who follows that the run's tables have been written."""
        for follower in self.followers:
            follower.tables()

    def pace(self) -> float | None:
        """Return the seconds that a step takes; None where none was taken yet."""
        taken = self.done - self.begun
        return (time.monotonic() - self.started) / taken if taken else None

    def left(self) -> float | None:
        """Return the seconds to the end of the run; None where that cannot be told yet."""
        pace = self.pace()
        return None if pace is None else (self.total - self.done + self.later) * pace

    def news(self, row: Row, times: bool) -> str:
        """Return one line of epoch, loss, what is measured, speed and the time left."""
        words = [words_of(row, self.task.metrics[0])]
        pace, left = self.pace(), self.left()
        if pace and left is not None:
            size = self.task.size("train") / self.task.steps_per_epoch
            words.append(f"{size / pace:,.0f} examples/s")
            if times:
                words.append(f"level {clock((self.total - self.done) * pace)} left")
            words.append(f"run {clock(left)} left")
            all_left = self.sweep.left(left) if times and self.sweep else None
            words += [] if all_left is None else [f"sweep {clock(all_left)} left"]
        return "  ".join(words)

    def tell_beside(self, row: Row) -> None:
        """Show beside the bar all that there is to say, or of that what a narrow one has room for.

        The time left stays longest, then what is measured, the loss, the epoch.
        """
        if self.one or columns() >= WIDE:
            self.bar.set_postfix_str(self.news(row, times=False))
            return
        left = self.left()
        words = [] if left is None else [f"{clock(left)} left"]
        words += reversed(parts_of(row, self.task.metrics[0]))
        while words and len(self.title) + TAKEN + len("  ".join(words)) > columns():
            words.pop()
        self.bar.bar_format = f"{NARROW} {'  '.join(words)}"
        self.bar.refresh()

    def beat(self, pulse: Pulse) -> None:
        """Leave a sign of life from the midst of training."""
        told: dict[str, Any] = {
            "step": self.done,
            "steps": self.total,
            "left": self.left(),
            "row": self.newest,
            "curve": measured(self.rows, self.task.metrics[0]),
        }
        pulse.beat(self.place() | told)

    def scoring(self, batches: int) -> None:
        """Leave a sign of life, where one is due, while the level of `level` is scored for a mask.

        A criterion may do that for hours, and nobody can tell how long it will.
        """
        if self.pulse is not None and self.pulse.due():
            told: dict[str, Any] = {"step": batches, "steps": 0, "left": None, "row": {}}
            self.pulse.beat(self.place() | told)

    def place(self) -> dict[str, Any]:
        """Return where in the run it is, as a sign of life says it."""
        return {
            "level": self.index,
            "levels": self.levels,
            "branch": self.branch,
            "density": self.density,
        }

    def say(self, text: str) -> None:
        """Print a line beside the bar."""
        if self.style != "none":
            tqdm.write(text, file=sys.stderr)

    def warn(
        self, text: str, kind: str = "other", level: int | None = None, branch: str = ""
    ) -> None:
        """Print a warning whatever the style, and keep it; `kind` is one of `warned.KINDS`."""
        tqdm.write(f"warning: {text}", file=sys.stderr)
        self.warnings.append(warned(text, kind, level, branch))
        if self.keep is not None:
            self.keep()

    def warn_once(self, text: str) -> None:
        """Warn of what is the same at every level."""
        if warned(text) not in self.warnings:
            self.warn(text)

    def close(self) -> None:
        """Take the bars and the sign of life away."""
        for bar in (self.bar, self.jobs):
            if bar is not None:
                bar.close()
        if self.jobs is not None:  # tqdm leaves the cursor in the midst of the line
            print("\r", end="", file=sys.stderr, flush=True)
        self.bar = self.jobs = None
        if self.pulse is not None:
            self.pulse.end()
            self.pulse = None


def in_notebook() -> bool:
    """Say whether a notebook shows what is printed here."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def whole_bar(bar: Any, done: int, total: int, later: int, swept: bool) -> Any:
    """Return the one bar of a run, where its level stands: made for its steps and those to come."""
    if bar is None:
        kind: Any = tqdm
        if importlib.util.find_spec("ipywidgets") is not None:
            from tqdm import notebook  # warns where there are no widgets

            kind = notebook.tqdm
        return kind(total=total + later, initial=done, unit="step", leave=not swept)
    bar.n = max(0, bar.total - later - total + done)
    bar.refresh()
    return bar


def title(index: int, levels: int, branch: str, density: float) -> str:
    """Return the name of a level in the course of its run: level 2/5 shuffle  density 0.64."""
    return f"level {index}/{levels}" + (f" {branch}" if branch else "") + f"  density {density:.4g}"


def columns() -> int:
    """Return the columns of the terminal that people watch."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # no terminal, or a stream without a file
        return WIDE


def words_of(row: Row, metric: Metric = ACCURACY) -> str:
    """Return epoch, loss and metric of a row of a curve, those that it has."""
    return "  ".join(parts_of(row, metric))


def measured(rows: Sequence[Row], metric: Metric) -> list[tuple[float, float]]:
    """Return the steps of a curve and the values of a metric there: of val, else of test."""
    some = thinned(rows)
    column = f"{split_of(some[-1], metric)}_{metric.name}" if some else ""
    return [(row["step"], row[column]) for row in some if "step" in row and column in row]


def split_of(row: Row, metric: Metric) -> str:
    """Return the split that a row of a curve tells people of: val where there is one."""
    return "val" if f"val_{metric.name}" in row else "test"


def parts_of(row: Row, metric: Metric = ACCURACY) -> list[str]:
    """Return what `words_of` does, apart."""
    split = split_of(row, metric)
    words = [f"epoch {row['epoch']:.4g}"] if "epoch" in row else []
    if not math.isnan(row.get("train_loss", math.nan)):
        words.append(f"loss {row['train_loss']:.4f}")
    if (found := row.get(f"{split}_{metric.name}")) is not None:
        named = split if metric.name == ACCURACY.name else f"{split} {metric.label}"
        words.append(f"{named} {f'{found:.4f}' if metric.percent else metric.shown(found)}")
    return words

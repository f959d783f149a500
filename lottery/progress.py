"""Show where a run is: a bar on a terminal, plain lines elsewhere."""

import math
import sys
import time
from typing import Any

from tqdm import tqdm

from lottery.task import Task

LINE_EVERY = 2.0  # seconds between plain lines within a level


class Progress:
    """Follow the levels of one run; `style` is auto, bar, lines or none."""

    def __init__(self, style: str, levels: int) -> None:
        if style == "auto":
            style = "bar" if sys.stderr.isatty() else "lines"
        self.style, self.levels = style, levels
        self.bar: Any = None
        self.title, self.later = "", 0
        self.done = self.total = 0
        self.printed = self.started = 0.0
        self.begun = 0

    def level(self, index: int, density: float, later: int, branch: str = "") -> None:
        """Announce a level; `later` counts the steps of the levels after it."""
        name = f"level {index}/{self.levels}" + (f" {branch}" if branch else "")
        self.title, self.later = f"{name}  density {density:.4g}", later

    def begin(self, done: int, total: int, task: Task) -> None:
        """Start or go on with the level's steps."""
        self.done = self.begun = done
        self.total, self.task = total, task
        self.started = self.printed = time.monotonic()
        if self.style == "bar":
            self.bar = tqdm(total=total, initial=done, desc=self.title, unit="step", leave=False)

    def advance(self) -> None:
        """Count one step."""
        self.done += 1
        if self.bar is not None:
            self.bar.update(1)

    def back(self, done: int) -> None:
        """Go back to so many steps."""
        self.begun -= self.done - done
        self.done = done
        if self.bar is not None:
            self.bar.reset(self.total)
            self.bar.update(done)

    def row(self, row: dict[str, float], training: Any) -> None:
        """Show a row of the curve."""
        if self.style == "none":
            return
        now, last = time.monotonic(), self.done == self.total
        if self.bar is not None:
            self.bar.set_postfix_str(self.news(row, now, times=False))
            if last:
                self.bar.close()
                self.bar = None
        elif last or now - self.printed >= LINE_EVERY:
            self.printed = now
            self.say(f"{self.title}  {self.news(row, now, times=True)}")

    def news(self, row: dict[str, float], now: float, times: bool) -> str:
        """Return one line of epoch, loss, accuracy, speed and the time left."""
        split = "val" if "val_accuracy" in row else "test"
        words = [f"epoch {row['epoch']:.4g}"]
        if not math.isnan(row["train_loss"]):
            words.append(f"loss {row['train_loss']:.4f}")
        if f"{split}_accuracy" in row:
            words.append(f"{split} {row[f'{split}_accuracy']:.4f}")
        taken = self.done - self.begun
        if taken:
            pace = (now - self.started) / taken
            size = self.task.size("train") / self.task.steps_per_epoch
            words.append(f"{size / pace:,.0f} examples/s")
            left = (self.total - self.done) * pace
            if times:
                words.append(f"level {clock(left)} left")
            words.append(f"run {clock(left + self.later * pace)} left")
        return "  ".join(words)

    def say(self, text: str) -> None:
        """Print a line beside the bar."""
        if self.style != "none":
            tqdm.write(text, file=sys.stderr)

    def warn(self, text: str) -> None:
        """Print a warning whatever the style."""
        tqdm.write(f"warning: {text}", file=sys.stderr)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def clock(seconds: float) -> str:
    """Return a length of time as 0:07, 3:20 or 2:05:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

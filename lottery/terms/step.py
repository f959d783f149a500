"""Name a moment of training: 500it, 2ep, 1ep100it, 0.25, 1/3 or end."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from lottery.errors import UsageError

PATTERN = re.compile(r"(?:(\d+)ep)?(?:(\d+)it)?")
SPELLINGS = "500it, 2ep, 1ep100it, 0.25 or 1/3 (of training) or end"


@dataclass(frozen=True, order=True)
class Step:
    """One optimizer update, counted from 0; a state at step s has seen s updates."""

    iteration: int
    steps_per_epoch: int = field(compare=False)

    @property
    def epoch(self) -> float:
        """Return the epochs passed, with their fraction."""
        return self.iteration / self.steps_per_epoch

    def __str__(self) -> str:
        epochs, rest = divmod(self.iteration, self.steps_per_epoch)
        if epochs and rest:
            return f"{epochs}ep{rest}it"
        return f"{epochs}ep" if epochs else f"{rest}it"


@lru_cache(maxsize=4096)
def parse(text: str, steps_per_epoch: int, end: int | None = None, where: str = "") -> Step:
    """Return the step that `text` names.

    `end` is the length of training in steps; without it a fraction and "end" cannot be read.
    `where` is the setting that an error names.
    Raises UsageError for any other spelling and for a fraction outside [0, 1].
    """
    text = str(text).strip()
    if text == "end" and end is not None:
        return Step(end, steps_per_epoch)
    match = PATTERN.fullmatch(text)
    if match and text:
        epochs, iterations = (int(group or 0) for group in match.groups())
        return Step(epochs * steps_per_epoch + iterations, steps_per_epoch)
    part = re.fullmatch(r"([01]?\.\d+|[01])|(\d+)/([1-9]\d*)", text)
    if part and end is not None:
        share = float(part[1]) if part[1] else int(part[2]) / int(part[3])
        if share <= 1:
            return Step(round(share * end), steps_per_epoch)
    raise UsageError(
        f"{where and where + ': '}'{text}' names no step of training; write {SPELLINGS}"
    )


@dataclass(frozen=True)
class Span:
    """The steps of the training schedule that a level runs: from `start` up to `stop`.

    Order of the data, augmentation and learning rate are those of the schedule's steps. A stop
    past the end of training goes on at the last learning rate (fine-tuning).
    """

    start: int
    stop: int

"""Stand between a criterion and its task: try it, follow a long one, settle the memory format."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lottery import signals
from lottery.memory import Memory
from lottery.task import Batch, Task
from lottery.watching.progress import Progress

SAY_EVERY = 10.0  # seconds between lines about a mask in the making


class Enough(Exception):  # noqa: N818 (no error: it went as far as it was to go)
    """The first loss has been computed: the criterion takes its settings, the net and the data."""


class Glimpse:
    """A task that gives two examples a batch and raises Enough at the first loss."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield the first two examples of an epoch."""
        for pixels, labels in self.task.batches(split, epoch, seed, start):
            yield pixels[:2], labels[:2]

    def scoring_batches(self, generator: torch.Generator, **choice: Any) -> list[Batch]:
        """Return one batch of two examples, whatever is asked, once the task has accepted it."""
        pixels, labels = self.task.scoring_batches(generator, **choice)[0]
        return [(pixels[:2], labels[:2])]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Compute the loss once, then raise Enough."""
        self.task.loss(model, batch)
        raise Enough


class Contiguous:
    """A task whose images lie in memory as torch lays them out by itself, however it trains.

    Convolutions add up in another order in channels-last, so a mask would follow the machine and
    `train.channels_last`, where its net is not trained yet and the authors' code scores it so.
    """

    channels_last = False

    def __init__(self, task: Task) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        for pixels, labels in self.task.batches(split, epoch, seed, start):
            yield laid_out(pixels), labels

    def scoring_batches(self, generator: torch.Generator, **choice: Any) -> list[Batch]:
        """Return the batches that a criterion asks for."""
        found = self.task.scoring_batches(generator, **choice)
        return [(laid_out(pixels), labels) for pixels, labels in found]


def laid_out(pixels: Tensor) -> Tensor:
    """Return a copy in rows; `contiguous` would leave one channel as it is strided."""
    return pixels.clone(memory_format=torch.contiguous_format)


class Followed:
    """A task that says now and then that a criterion is still at work, and stops it on a signal.

    A criterion may train for hours; one that does so saves its work in `memory`.
    """

    def __init__(self, task: Task, watch: Progress, title: str, memory: Memory) -> None:
        self.task, self.watch, self.title, self.memory = task, watch, title, memory
        self.losses = 0
        self.begun = self.said = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the task's loss, counted."""
        if not self.memory.searching:
            signals.leave_if_asked()
        self.losses += 1
        self.watch.scoring(self.losses)
        now = time.monotonic()
        if now - self.said >= SAY_EVERY:
            self.said = now
            passed = round(now - self.begun)
            self.watch.say(f"{self.title}: scoring, {self.losses:,} batches in {passed} s")
        return self.task.loss(model, batch)

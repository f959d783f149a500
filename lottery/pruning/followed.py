"""Follow a criterion at work: say how far it is, and stop it on a signal."""

import time
from typing import Any, Protocol

from torch import Tensor, nn

from lottery.machine import signals
from lottery.pruning.search_state import Memory
from lottery.terms.task import Batch, Task

SAY_EVERY = 10.0  # seconds between lines about a mask in the making


class Watch(Protocol):
    """Who is told how far a criterion is."""

    def scoring(self, batches: int) -> None:
        """Take note of the batches so far."""

    def say(self, line: str) -> None:
        """Show a line."""


class Followed:
    """A task that says now and then that a criterion is still at work, and stops it on a signal.

    A criterion may train for hours; one that does so saves its work in `memory`.
    """

    def __init__(self, task: Task, watch: Watch, title: str, memory: Memory) -> None:
        self.task, self.watch, self.title, self.memory = task, watch, title, memory
        self.losses = 0
        self.begun = self.said = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def loss(self, model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
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
        return self.task.loss(model, batch, temperature)

"""Let a criterion see two examples and stop at its first loss: to try it before training."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lottery.task import Batch, Task


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

"""State what a runner may know about its data: four verbs, and nothing else."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]


class Task(Protocol):
    """What there is to learn. The runner stays blind to whether it is images, text or graphs."""

    input_shape: tuple[int, ...]  # one example, without the batch axis
    outputs: int  # K, the width of the model's last layer
    steps_per_epoch: int
    fingerprint: str  # content hash of everything that the batches depend on
    device: torch.device

    def size(self, split: str) -> int:
        """Return the number of examples of train, val or test; 0 where there is no such split."""
        ...

    def prepare(self, *, batch_size: int, device: torch.device, **settings: Any) -> "Task":
        """Return the task on a device, in batches."""
        ...

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch from batch `start` on, in O(1); pure in (epoch, seed)."""
        ...

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean training loss of a batch, a scalar."""
        ...

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return {"loss", "accuracy"} over a split, in evaluation mode."""
        ...

    def scoring_batches(
        self, generator: torch.Generator, *, size: int = 0, per_class: int = 0
    ) -> list[Batch]:
        """Return what a criterion looks at: training examples, not augmented."""
        ...

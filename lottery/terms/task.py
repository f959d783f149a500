"""State what a runner may know about its data: four verbs, and nothing else."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]


def zero_sum(device: torch.device) -> Tensor:
    """Return a scalar 0 to add losses to: float64 where the device has it (mps has not)."""
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return torch.zeros((), dtype=dtype, device=device)


class Task(Protocol):
    """What there is to learn. The runner stays blind to whether it is images, text or graphs."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example, without the batch axis."""
        ...

    @property
    def outputs(self) -> int:
        """K, the width of the model's last layer."""
        ...

    @property
    def steps_per_epoch(self) -> int: ...

    @property
    def fingerprint(self) -> str:
        """The content hash of everything that the batches depend on."""
        ...

    @property
    def device(self) -> torch.device: ...

    def size(self, split: str) -> int:
        """Return the number of examples of train, val or test; 0 where there is no such split."""
        ...

    def prepare(
        self,
        *,
        batch_size: int,
        device: torch.device,
        label_smoothing: float = 0.0,
        channels_last: bool = False,
    ) -> "Task":
        """Return the task on a device, in batches, with what the training recipe decides."""
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
        self,
        generator: torch.Generator,
        *,
        size: int = 0,
        per_class: int = 0,
        batch: int = 0,
        augment: bool = False,
        by_class: bool = False,
    ) -> list[Batch]:
        """Return what a criterion looks at: training examples in batches of `batch`.

        `per_class` of each class, or else `size` of any (0 = all); `batch` 0 is that of training.
        They are not augmented unless asked, and mixed unless `by_class` wants them class by class.
        Everything is drawn from `generator`, which of them before how they are augmented.
        """
        ...

"""Say what every task of image classification has in common, wherever its pixels lie."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.terms.task import Batch, zero_sum

EVALUATION_BATCH = 500  # a constant: the last digits of a loss depend on it


@dataclass(frozen=True, eq=False, kw_only=True)
class Classification(ABC):
    """What the training recipe decides of a task, its loss and its evaluation."""

    batch_size: int = 0
    device: torch.device = torch.device("cpu")
    label_smoothing: float = 0.0
    channels_last: bool = False

    @abstractmethod
    def size(self, split: str) -> int:
        """Return the number of examples of a split; 0 where there is no such."""

    @abstractmethod
    def evaluation_batches(self, split: str) -> Iterator[Batch]:
        """Yield a split in its order, neither shuffled nor augmented."""

    @property
    def steps_per_epoch(self) -> int:
        return batches_in(self.size("train"), self.batch_size)

    def moved(self, device: torch.device) -> dict[str, Any]:
        """Return the fields that lie on a device, on this one."""
        return {}

    def prepare(
        self,
        *,
        batch_size: int,
        device: torch.device,
        label_smoothing: float = 0.0,
        channels_last: bool = False,
    ) -> Self:
        """Return the task on a device, with what the training recipe decides."""
        return replace(
            self,
            batch_size=batch_size,
            device=device,
            label_smoothing=label_smoothing,
            channels_last=channels_last,
            **self.moved(device),
        )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        pixels, labels = batch
        return F.cross_entropy(model(pixels), labels, label_smoothing=self.label_smoothing)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return the mean cross-entropy (never smoothed) and the share of right answers.

        Leaves the training mode as found.
        """
        was_training = model.training
        model.eval()
        loss = zero_sum(self.device)
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        seen = 0
        for pixels, labels in self.evaluation_batches(split):
            scores = model(pixels).float()
            loss += F.cross_entropy(scores, labels, reduction="sum")
            right += (scores.argmax(1) == labels).sum()
            seen += len(labels)
        model.train(was_training)
        return {"loss": float(loss) / seen, "accuracy": int(right) / seen}


def batches_in(examples: int, batch_size: int) -> int:
    """Return the batches of an epoch: the last may be short, but a lone example is left out.

    BatchNorm cannot train on one example.
    """
    whole, rest = divmod(examples, batch_size)
    return whole + (rest > 1) or 1

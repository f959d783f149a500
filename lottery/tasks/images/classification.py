"""Say what every task of image classification has in common, wherever its pixels lie."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.tasks.images.examples import in_batches, pick_examples
from lottery.tasks.images.splits import Images
from lottery.terms import seeds
from lottery.terms.metric import ACCURACY, Metric
from lottery.terms.task import Picks, zero_sum

Batch = tuple[Tensor, Tensor]  # float32 [B, C, H, W], int64 [B]

EVALUATION_BATCH = 500  # a constant: the last digits of a loss depend on it


@dataclass(frozen=True, eq=False, kw_only=True)
class Classification(ABC):
    """What the training recipe decides of a task, its batches, its loss and its evaluation."""

    world: ClassVar[str] = "images"
    metrics: ClassVar[tuple[Metric, ...]] = (ACCURACY,)

    input_shape: tuple[int, ...]  # C H W
    outputs: int  # K
    fingerprint: str
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

    @property
    def chance(self) -> float | None:
        return 1 / self.outputs

    def count(self, batch: Batch) -> int:
        return len(batch[1])

    def weight(self, batch: Batch) -> int:
        return len(batch[1])

    def cut(self, batch: Batch, start: int, stop: int) -> Batch:
        pixels, labels = batch
        return pixels[start:stop], labels[start:stop]

    def inputs(self, batch: Batch) -> tuple[Tensor]:
        return (batch[0],)

    def example(self, number: int) -> Batch:
        """Return noise, and labels of all classes in turn."""
        draw = seeds.generator("example")
        pixels = torch.randn(number, *self.input_shape, generator=draw)
        if self.channels_last and pixels.dim() == 4:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        return pixels.to(self.device), (torch.arange(number) % self.outputs).to(self.device)

    def loss(self, model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
        pixels, labels = batch
        scores = model(pixels)
        if temperature != 1:
            scores = scores / temperature
        return F.cross_entropy(scores, labels, label_smoothing=self.label_smoothing)

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


@dataclass(frozen=True, eq=False, kw_only=True)
class Labelled(Classification):
    """A task whose examples are known, with a label each."""

    splits: dict[str, Images]

    def size(self, split: str) -> int:
        return len(self.splits[split]) if split in self.splits else 0

    @property
    def chance(self) -> float | None:
        """The share of the class that the training split has most of."""
        labels = self.splits["train"].labels
        return int(labels.bincount().max()) / len(labels)

    def picked(self, generator: torch.Generator, picks: Picks) -> list[Tensor]:
        """Return the rows of the training examples that a criterion asks for, in batches."""
        labels = self.splits["train"].labels.cpu()
        number, each = picks.get("size", 0), picks.get("per_class", 0)
        by_class = picks.get("by_class", False)
        rows = pick_examples(labels, self.outputs, generator, number, each, by_class)
        return in_batches(
            rows.to(self.splits["train"].labels.device), picks.get("batch") or self.batch_size
        )


def batches_in(examples: int, batch_size: int) -> int:
    """Return the batches of an epoch: the last may be short, but a lone example is left out.

    BatchNorm cannot train on one example.
    """
    whole, rest = divmod(examples, batch_size)
    return whole + (rest > 1) or 1

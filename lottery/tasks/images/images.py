"""Make an image task out of uint8 tensors: batches and evaluation.

Axes: N dataset, B batch, C H W image, K classes.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.tasks.images.augmentation import ImageOptions, augment, check_options, normalise
from lottery.tasks.images.examples import in_batches, pick_examples
from lottery.tasks.images.splits import Images, split_up
from lottery.terms import seeds
from lottery.terms.task import Batch, zero_sum

FLOAT_BYTES = 512 * 2**20  # a split is kept normalised in float32 up to this size
EVALUATION_BATCH = 500  # a constant: the last digits of a loss depend on it


@dataclass(frozen=True, eq=False)
class ImageTask:
    """A task of image classification whose pixels lie on the training device."""

    splits: dict[str, Images]
    outputs: int
    fingerprint: str
    options: ImageOptions
    batch_size: int = 0
    device: torch.device = torch.device("cpu")
    label_smoothing: float = 0.0
    channels_last: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.splits["train"].pixels.shape[1:])

    @property
    def steps_per_epoch(self) -> int:
        return batches_in(self.size("train"), self.batch_size)

    def size(self, split: str) -> int:
        return len(self.splits[split]) if split in self.splits else 0

    def prepare(
        self,
        *,
        batch_size: int,
        device: torch.device,
        label_smoothing: float = 0.0,
        channels_last: bool = False,
    ) -> "ImageTask":
        """Move every split to `device` and set what the training recipe decides."""
        moved = {
            name: Images(images.pixels.to(device), images.labels.to(device))
            for name, images in self.splits.items()
        }
        return replace(
            self,
            splits=moved,
            batch_size=batch_size,
            device=device,
            label_smoothing=label_smoothing,
            channels_last=channels_last,
        )

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield (float32 [B, C, H, W], int64 [B]); train is shuffled and augmented."""
        labels = self.splits[split].labels
        if split != "train":
            yield from islice(self.evaluation_batches(split), start, None)
            return
        order = torch.randperm(len(labels), generator=seeds.generator(seed, "order", epoch))
        order = order.to(self.device)
        for index in range(start, self.steps_per_epoch):
            picked = order[index * self.batch_size : (index + 1) * self.batch_size]
            if self._augments:
                draw = seeds.generator(seed, "augment", epoch, index)
                yield self._augmented(picked, draw), labels[picked]
            else:
                yield self._pixels("train", picked), labels[picked]

    def evaluation_batches(self, split: str) -> Iterator[Batch]:
        """Yield a split in its order, neither shuffled nor augmented."""
        labels = self.splits[split].labels
        for at in range(0, len(labels), EVALUATION_BATCH):
            rows = slice(at, at + EVALUATION_BATCH)
            yield self._pixels(split, rows), labels[rows]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        pixels, labels = batch
        return F.cross_entropy(model(pixels), labels, label_smoothing=self.label_smoothing)

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return the mean cross-entropy (never smoothed) and the share of right answers."""
        return evaluate(self, model, split)

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
        """Return `per_class` training examples of each class, or `size` of any, in batches."""
        labels = self.splits["train"].labels
        picked = pick_examples(labels.cpu(), self.outputs, generator, size, per_class, by_class)
        batches: list[Batch] = []
        for rows in in_batches(picked.to(self.device), batch or self.batch_size):
            changed = augment and self._augments
            pixels = self._augmented(rows, generator) if changed else self._pixels("train", rows)
            batches.append((pixels, labels[rows]))
        return batches

    @property
    def _augments(self) -> bool:
        return bool(self.options["crop"] or self.options["flip"] or self.options["cutout"])

    @cached_property
    def _floats(self) -> dict[str, Tensor]:
        """Normalise each split once where it fits; never the train split that is augmented."""
        return {
            name: self._normalise(images.pixels)
            for name, images in self.splits.items()
            if images.pixels.numel() * 4 <= FLOAT_BYTES and not (name == "train" and self._augments)
        }

    def _pixels(self, split: str, rows: Tensor | slice) -> Tensor:
        if split in self._floats:
            return self._floats[split][rows]
        return self._normalise(self.splits[split].pixels[rows])

    def _augmented(self, rows: Tensor, draw: torch.Generator) -> Tensor:
        return self._normalise(augment(self.splits["train"].pixels[rows], draw, self.options))

    def _normalise(self, raw: Tensor) -> Tensor:
        return normalise(raw, self.options, self.channels_last)


def batches_in(examples: int, batch_size: int) -> int:
    """Return the batches of an epoch: the last may be short, but a lone example is left out.

    BatchNorm cannot train on one example.
    """
    whole, rest = divmod(examples, batch_size)
    return whole + (rest > 1) or 1


@torch.no_grad()
def evaluate(task: Any, model: nn.Module, split: str) -> dict[str, float]:
    """Return {"loss", "accuracy"} of a classifier over a split; leaves the training mode as found.

    `task` gives the batches of a split in their order, neither shuffled nor augmented.
    """
    was_training = model.training
    model.eval()
    loss = zero_sum(task.device)
    right = torch.zeros((), dtype=torch.int64, device=task.device)
    seen = 0
    for pixels, labels in task.evaluation_batches(split):
        scores = model(pixels).float()
        loss += F.cross_entropy(scores, labels, reduction="sum")
        right += (scores.argmax(1) == labels).sum()
        seen += len(labels)
    model.train(was_training)
    return {"loss": float(loss) / seen, "accuracy": int(right) / seen}


def image_task(
    train: Images,
    test: Images,
    source: str,
    classes: int,
    options: ImageOptions,
    val: Images | None = None,
) -> ImageTask:
    """Return a task with train, val and test apart.

    `source` is the content hash of the raw data; `val` is given where the data set comes with
    one. Raises UsageError for options that cannot be.
    """
    check_options(options, train.pixels.shape[1], len(train), classes)
    splits = split_up(train, test, classes, options, val)
    words = json.dumps([source, classes, options], sort_keys=True)
    return ImageTask(splits, classes, hashlib.sha256(words.encode()).hexdigest(), options)

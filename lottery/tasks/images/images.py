"""Make an image task out of uint8 tensors: batches and evaluation.

Axes: N dataset, B batch, C H W image, K classes.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Unpack

import torch
from torch import Tensor

from lottery.tasks.images.augmentation import ImageOptions, augment, check_options, normalise
from lottery.tasks.images.classification import EVALUATION_BATCH, Batch, Labelled
from lottery.tasks.images.splits import Images, split_up
from lottery.tasks.images.subset import some_classes
from lottery.terms import seeds
from lottery.terms.task import Picks

FLOAT_BYTES = 512 * 2**20  # a split is kept normalised in float32 up to this size


@dataclass(frozen=True, eq=False)
class ImageTask(Labelled):
    """A task of image classification whose pixels lie on the training device."""

    options: ImageOptions

    def moved(self, device: torch.device) -> dict[str, Any]:
        """Return every split on the device."""
        moved = {
            name: Images(images.pixels.to(device), images.labels.to(device))
            for name, images in self.splits.items()
        }
        return {"splits": moved}

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

    def scoring_batches(self, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
        """Return `per_class` training examples of each class, or `size` of any, in batches."""
        labels = self.splits["train"].labels
        batches: list[Batch] = []
        changed = picks.get("augment", False) and self._augments
        for rows in self.picked(generator, picks):
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


def image_task(
    train: Images,
    test: Images,
    source: str,
    classes: int,
    options: ImageOptions,
    val: Images | None = None,
    names: Sequence[str] = (),
) -> ImageTask:
    """Return a task with train, val and test apart, of the classes that options ask for.

    `source` is the content hash of the raw data; `val` is given where the data set comes with
    one, `names` are those of the classes where they are known. Raises UsageError for options that
    cannot be.
    """
    given = {"train": train, "test": test} | ({} if val is None else {"val": val})
    given, classes, options = some_classes(given, classes, options, names)
    train = given["train"]
    check_options(options, train.pixels.shape[1], len(train), classes)
    splits = split_up(train, given["test"], classes, options, given.get("val"))
    words = json.dumps([source, classes, options], sort_keys=True)
    fingerprint = hashlib.sha256(words.encode()).hexdigest()
    shape = tuple(train.pixels.shape[1:])
    return ImageTask(
        options, splits=splits, input_shape=shape, outputs=classes, fingerprint=fingerprint
    )

"""Stand for a data set that is not there: its sizes, and made-up images of its shape.

What only looks ahead (lottery plan) needs no pixels, and must not fetch, decode or write any.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

import torch

from lottery.tasks.images.augmentation import ImageOptions, check_options
from lottery.tasks.images.classification import EVALUATION_BATCH, Classification
from lottery.tasks.images.splits import check_validation
from lottery.terms import seeds
from lottery.terms.task import Batch

LOOKING: ContextVar[bool] = ContextVar("looking", default=False)


class AbsentError(Exception):
    """A data set would have to be fetched or decoded first; its text says in words what is not."""


@contextlib.contextmanager
def only_looking() -> Iterator[None]:
    """Let nothing of a data set be downloaded, decoded or written: outlines stand for it."""
    token = LOOKING.set(True)
    try:
        yield
    finally:
        LOOKING.reset(token)


def looking() -> bool:
    """Say whether nothing may be downloaded, decoded or written now."""
    return LOOKING.get()


@dataclass(frozen=True, eq=False)
class Outline(Classification):
    """A task of known shape and sizes, whose images are drawn at random."""

    input_shape: tuple[int, ...]
    outputs: int
    sizes: dict[str, int]
    fingerprint: str
    missing: str  # in words

    def size(self, split: str) -> int:
        return self.sizes.get(split, 0)

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield as many batches as the split has, all of the same made-up images."""
        size = self.batch_size if split == "train" else EVALUATION_BATCH
        batch = self._batch(min(size, self.size(split)))
        number = self.steps_per_epoch if split == "train" else -(-self.size(split) // size)
        for _ in range(start, number):
            yield batch

    def evaluation_batches(self, split: str) -> Iterator[Batch]:
        """Yield the batches of a split."""
        return self.batches(split, 0, 0)

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
        """Return one batch of made-up images, no more than were asked for."""
        asked = per_class * self.outputs or size or self.size("train")
        return [self._batch(min(asked, batch or self.batch_size, self.size("train")))]

    def _batch(self, size: int) -> Batch:
        draw = seeds.generator("outline")
        pixels = torch.randn(size, *self.input_shape, generator=draw)
        if self.channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        labels = torch.arange(size) % self.outputs
        return pixels.to(self.device), labels.to(self.device)


def outline(
    shape: tuple[int, ...],
    classes: int,
    examples: Mapping[str, int],
    options: ImageOptions,
    missing: object,
) -> Outline:
    """Return what stands for a data set of `examples` a split, before validation is cut from train.

    Raises UsageError for options that cannot be, as the data set itself would.
    """
    check_options(options, shape[0], examples["train"], classes)
    check_validation("val" in examples, options)
    left = examples["train"] - options["validation"]
    sizes = {**examples, "train": options["subsample"] or left}
    if options["validation"]:
        sizes["val"] = options["validation"]
    words = json.dumps(["outline", shape, classes, examples, options], sort_keys=True)
    fingerprint = hashlib.sha256(words.encode()).hexdigest()
    return Outline(tuple(shape), classes, sizes, fingerprint, str(missing))

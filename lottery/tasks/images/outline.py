"""Stand for a data set that is not there: its sizes, and made-up images of its shape.

What only looks ahead (lottery plan) needs no pixels, and must not fetch, decode or write any.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Unpack

import torch

from lottery.tasks.images.augmentation import ImageOptions, check_options
from lottery.tasks.images.classification import EVALUATION_BATCH, Batch, Classification
from lottery.tasks.images.splits import check_validation
from lottery.tasks.images.subset import settled
from lottery.terms.task import Picks

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

    sizes: dict[str, int]
    missing: str  # in words

    def size(self, split: str) -> int:
        return self.sizes.get(split, 0)

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield as many batches as the split has, all of the same made-up images."""
        size = self.batch_size if split == "train" else EVALUATION_BATCH
        batch = self.example(min(size, self.size(split)))
        number = self.steps_per_epoch if split == "train" else -(-self.size(split) // size)
        for _ in range(start, number):
            yield batch

    def evaluation_batches(self, split: str) -> Iterator[Batch]:
        """Yield the batches of a split."""
        return self.batches(split, 0, 0)

    def scoring_batches(self, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
        """Return one batch of made-up images, no more than were asked for."""
        whole = self.size("train")
        asked = picks.get("per_class", 0) * self.outputs or picks.get("size", 0) or whole
        return [self.example(min(asked, picks.get("batch") or self.batch_size, whole))]


def outline(
    shape: tuple[int, ...],
    classes: int,
    examples: Mapping[str, int],
    options: ImageOptions,
    missing: object,
    names: Sequence[str] = (),
) -> Outline:
    """Return what stands for a data set of `examples` a split, before validation is cut from train.

    Of some of its classes as many examples as if all classes had equally many. Raises UsageError
    for options that cannot be, as the data set itself would.
    """
    chosen, options = settled(options, classes, names)
    if chosen is not None:
        examples = {split: n * len(chosen) // classes for split, n in examples.items()}
        classes = len(chosen)
    check_options(options, shape[0], examples["train"], classes)
    check_validation("val" in examples, options)
    left = examples["train"] - options["validation"]
    sizes = {**examples, "train": options["subsample"] or left}
    if options["validation"]:
        sizes["val"] = options["validation"]
    words = json.dumps(["outline", shape, classes, examples, options], sort_keys=True)
    fingerprint = hashlib.sha256(words.encode()).hexdigest()
    return Outline(
        sizes, str(missing), input_shape=tuple(shape), outputs=classes, fingerprint=fingerprint
    )

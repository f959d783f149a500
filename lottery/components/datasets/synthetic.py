"""Make images on the spot, for tests and measurements of speed."""

from pathlib import Path
from typing import Unpack

import torch

from lottery.errors import UsageError
from lottery.storage.store import tensor_digest
from lottery.tasks.images.augmentation import ImageOptions
from lottery.tasks.images.images import ImageTask, image_task
from lottery.tasks.images.splits import Images
from lottery.terms import seeds

COARSE = 4  # a prototype is a grid of so many patches a side
SWING = 48  # grey levels of one standard deviation of the prototypes


def synthetic(
    root: Path,
    *,
    examples: int,
    test_examples: int,
    classes: int,
    channels: int,
    size: int,
    noise: float,
    seed: int,
    **options: Unpack[ImageOptions],
) -> ImageTask:
    """Return [channels, size, size] images: the prototype of the class and noise over it.

    A pure function of its settings; reads nothing below `root`. A prototype is a coarse grid of
    normal grey levels; `noise` is in units of their standard deviation, so 0 is trivial and 10
    hard. The classes take turns, so they are balanced.
    """
    check(examples=examples, test_examples=test_examples, channels=channels, size=size)
    if noise < 0:
        raise UsageError(f"dataset.noise={noise} is below 0")
    draw = seeds.generator(seed, "prototypes")
    coarse = torch.randn(classes, channels, COARSE, COARSE, generator=draw)
    spread = torch.arange(size) * COARSE // size
    prototypes = coarse[:, :, spread][:, :, :, spread]
    train, test = (
        noisy(prototypes, number, noise, seeds.generator(seed, split))
        for split, number in (("train", examples), ("test", test_examples))
    )
    source = tensor_digest({"train": train.pixels, "test": test.pixels})
    return image_task(train, test, source, classes, options)


def noisy(prototypes: torch.Tensor, number: int, noise: float, draw: torch.Generator) -> Images:
    """Return `number` noisy images of the prototypes [K, C, H, W] in turn."""
    labels = torch.arange(number) % len(prototypes)
    grey = torch.randn(number, *prototypes.shape[1:], generator=draw)
    grey.mul_(noise).add_(prototypes[labels]).mul_(SWING).add_(127.5)
    return Images(grey.round_().clamp_(0, 255).to(torch.uint8), labels)


def check(**counts: int) -> None:
    """Raise UsageError for a count below 1."""
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"dataset.{name}={count} is below 1")

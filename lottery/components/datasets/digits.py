"""Offer the 8x8 handwritten digits that come with this package."""

import hashlib
from pathlib import Path
from typing import Unpack

import torch
from safetensors.torch import load

from lottery.errors import DamagedError
from lottery.tasks.images.augmentation import ClassOptions
from lottery.tasks.images.images import ImageTask, image_task
from lottery.tasks.images.splits import Images
from lottery.terms import seeds

FILE = Path(__file__).parent / "data" / "digits.safetensors"
SHA256 = "b9df9f0ed50574f8918a7edc0e06c9b9b447080dc48c262bf524d7a9c50e75b3"
TEST_EXAMPLES = 360
CLASSES = 10
DARKEST = 16  # the largest value on disk


def digits(root: Path, **options: Unpack[ClassOptions]) -> ImageTask:
    """Return the 1,797 digits of Alpaydin & Kaynak 1998, [1, 8, 8], stretched to 0..255.

    They have no test split of their own. 360 examples are set apart for it at random, always the
    same ones, whatever `split_seed` says. Reads nothing below `root`. Raises DamagedError where
    the file is not the one that was packaged.
    """
    data = FILE.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise DamagedError(f"{FILE} is damaged (its checksum is wrong); install lottery again")
    stored = load(data)
    pixels = (stored["images"].float() * 255 / DARKEST).round().to(torch.uint8)
    every = Images(pixels, stored["labels"].long())
    order = torch.randperm(len(every), generator=seeds.generator("digits", "test"))
    test, train = order[:TEST_EXAMPLES].sort().values, order[TEST_EXAMPLES:].sort().values
    return image_task(every.pick(train), every.pick(test), SHA256, CLASSES, options)

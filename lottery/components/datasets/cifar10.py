"""Offer CIFAR-10."""

from functools import partial
from pathlib import Path
from typing import Unpack

from lottery.tasks.images.augmentation import ClassOptions
from lottery.tasks.images.downloads import Published, Source, downloaded
from lottery.tasks.images.images import ImageTask
from lottery.tasks.images.layouts import record_files
from lottery.tasks.images.outline import Outline

RECORDS = 10_000 * (1 + 3 * 32 * 32)  # bytes of a file
BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
EXAMPLES = {"train": 50_000, "test": 10_000}
FILES = Published(
    title="CIFAR-10",
    shape=(3, 32, 32),
    examples=EXAMPLES,
    unpacked="cifar-10-batches-bin",
    pickled="cifar-10-batches-py",
    addresses=("https://www.cs.toronto.edu/~kriz/",),
    sources=(
        Source(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            dict.fromkeys(BATCHES, RECORDS),
        ),
    ),
)


def cifar10(root: Path, **options: Unpack[ClassOptions]) -> ImageTask | Outline:
    """Return 50,000 + 10,000 photographs of 10 classes, [3, 32, 32] (Krizhevsky 2009).

    The binary version: downloaded to `root` at the first use, then cached there. The archive may
    lie there already, or unpacked as cifar-10-batches-bin. The Python version is pickle, and is
    not read.
    """
    parse = partial(record_files, labels=1, examples=EXAMPLES)
    return downloaded(root, options, name="cifar10", classes=10, published=FILES, parse=parse)

"""Offer CIFAR-100."""

from functools import partial
from pathlib import Path
from typing import Unpack

from lottery.tasks.images.augmentation import ClassOptions
from lottery.tasks.images.downloads import Published, Source, downloaded
from lottery.tasks.images.images import ImageTask
from lottery.tasks.images.layouts import record_files
from lottery.tasks.images.outline import Outline

RECORD = 2 + 3 * 32 * 32  # bytes: the coarse label, the fine one, the pixels
EXAMPLES = {"train": 50_000, "test": 10_000}
FILES = Published(
    title="CIFAR-100",
    shape=(3, 32, 32),
    examples=EXAMPLES,
    unpacked="cifar-100-binary",
    pickled="cifar-100-python",
    addresses=("https://www.cs.toronto.edu/~kriz/",),
    sources=(
        Source(
            "cifar-100-binary.tar.gz",
            168_513_733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            {"train.bin": 50_000 * RECORD, "test.bin": 10_000 * RECORD},
        ),
    ),
)


def cifar100(root: Path, **options: Unpack[ClassOptions]) -> ImageTask | Outline:
    """Return 50,000 + 10,000 photographs of 100 classes, [3, 32, 32] (Krizhevsky 2009).

    The binary version: downloaded to `root` at the first use, then cached there. The archive may
    lie there already, or unpacked as cifar-100-binary. The Python version is pickle, and is not
    read. The classes are the fine ones.
    """
    parse = partial(record_files, labels=2, examples=EXAMPLES)
    return downloaded(root, options, name="cifar100", classes=100, published=FILES, parse=parse)

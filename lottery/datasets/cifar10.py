"""Offer CIFAR-10."""

from pathlib import Path
from typing import Unpack

from lottery.downloads import downloaded
from lottery.images import ImageOptions, ImageTask


def cifar10(root: Path, **options: Unpack[ImageOptions]) -> ImageTask:
    """Return 50,000 + 10,000 photographs of 10 classes, [3, 32, 32] (Krizhevsky 2009).

    Downloaded and parsed by torchvision at the first use, then cached below `root`.
    """
    return downloaded(
        root, options, name="cifar10", dataset="CIFAR10", folder="cifar-10-batches-py", classes=10
    )

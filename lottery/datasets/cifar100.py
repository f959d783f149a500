"""Offer CIFAR-100."""

from pathlib import Path
from typing import Unpack

from lottery.downloads import downloaded
from lottery.images import ImageOptions, ImageTask


def cifar100(root: Path, **options: Unpack[ImageOptions]) -> ImageTask:
    """Return 50,000 + 10,000 photographs of 100 classes, [3, 32, 32] (Krizhevsky 2009).

    Downloaded and parsed by torchvision at the first use, then cached below `root`.
    """
    return downloaded(
        root, options, name="cifar100", dataset="CIFAR100", folder="cifar-100-python", classes=100
    )

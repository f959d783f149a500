"""Offer the MNIST digits."""

from pathlib import Path
from typing import Unpack

from lottery.downloads import downloaded
from lottery.images import ImageOptions, ImageTask


def mnist(root: Path, **options: Unpack[ImageOptions]) -> ImageTask:
    """Return 60,000 + 10,000 handwritten digits, [1, 28, 28] (LeCun et al. 1998).

    Downloaded and parsed by torchvision at the first use, then cached below `root`.
    """
    return downloaded(root, options, name="mnist", dataset="MNIST", folder="MNIST/raw", classes=10)

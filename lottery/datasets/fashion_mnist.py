"""Offer Fashion-MNIST."""

from pathlib import Path
from typing import Unpack

from lottery.downloads import downloaded
from lottery.images import ImageOptions, ImageTask


def fashion_mnist(root: Path, **options: Unpack[ImageOptions]) -> ImageTask:
    """Return 60,000 + 10,000 pieces of clothing, [1, 28, 28] (Xiao et al. 2017).

    Downloaded and parsed by torchvision at the first use, then cached below `root`.
    """
    return downloaded(
        root,
        options,
        name="fashion_mnist",
        dataset="FashionMNIST",
        folder="FashionMNIST/raw",
        classes=10,
    )

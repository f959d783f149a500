"""Offer the Street View House Numbers."""

from pathlib import Path
from typing import Unpack

from lottery.downloads import downloaded
from lottery.images import ImageOptions, ImageTask


def svhn(root: Path, **options: Unpack[ImageOptions]) -> ImageTask:
    """Return 73,257 + 26,032 digits of house numbers, [3, 32, 32] (Netzer et al. 2011).

    Downloaded and parsed by torchvision at the first use, then cached below `root`. Its files
    take scipy to read, once; the 531,131 "extra" images are not used.
    """
    return downloaded(
        root, options, name="svhn", dataset="SVHN", folder=".", classes=10, by="split"
    )

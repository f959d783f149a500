"""Offer the Street View House Numbers."""

import io
from pathlib import Path
from typing import Unpack

import numpy as np
import torch

from lottery.tasks.images.augmentation import ClassOptions
from lottery.tasks.images.cache import Tensors
from lottery.tasks.images.downloads import Published, Source, downloaded
from lottery.tasks.images.images import ImageTask
from lottery.tasks.images.outline import Outline

FILES = Published(
    title="SVHN",
    shape=(3, 32, 32),
    examples={"train": 73_257, "test": 26_032},
    addresses=("http://ufldl.stanford.edu/housenumbers/",),
    sources=(
        Source(
            "train_32x32.mat",
            182_040_794,
            "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
            {"train_32x32.mat": 182_040_794},
        ),
        Source(
            "test_32x32.mat",
            64_275_384,
            "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
            {"test_32x32.mat": 64_275_384},
        ),
    ),
)


def svhn(root: Path, **options: Unpack[ClassOptions]) -> ImageTask | Outline:
    """Return 73,257 + 26,032 digits of house numbers, [3, 32, 32] (Netzer et al. 2011).

    Downloaded to `root` at the first use, then cached below it; the 531,131 "extra" images are not
    used.
    """
    return downloaded(root, options, name="svhn", classes=10, published=FILES, parse=matlab_files)


def matlab_files(parts: dict[str, bytes]) -> Tensors:
    """Return the images and labels of the two files, whose checksums have been compared.

    A file has X [32, 32, 3, N] and y [N, 1]; its label 10 is the digit 0.
    """
    from scipy.io import loadmat  # type: ignore[import-untyped]

    tensors: Tensors = {}
    for split in ("train", "test"):
        found = loadmat(io.BytesIO(parts[f"{split}_32x32.mat"]), variable_names=("X", "y"))
        pixels = np.ascontiguousarray(found["X"].transpose(3, 2, 0, 1))
        labels = (found["y"].reshape(-1) % 10).astype(np.uint8)
        tensors[f"{split}_pixels"] = torch.from_numpy(pixels)
        tensors[f"{split}_labels"] = torch.from_numpy(labels)
    return tensors

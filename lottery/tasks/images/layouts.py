"""Parse the layouts in which image data sets are published: bytes in, tensors out.

Lengths are checked before anything is made of them; nothing that a file says is ever run.
"""

import math
import struct
from collections.abc import Iterable, Mapping

import numpy as np
import torch

from lottery.tasks.images.cache import Tensors

Parts = Mapping[str, bytes]  # a file's name -> its content
SIDE = 32  # pixels of an image of CIFAR


def idx_files(parts: Parts) -> Tensors:
    """Return the images and labels of MNIST's four files; raises ValueError."""
    tensors: Tensors = {}
    for split, name in (("train", "train"), ("test", "t10k")):
        tensors[f"{split}_pixels"] = idx(parts[f"{name}-images-idx3-ubyte"], 3)[:, None]
        tensors[f"{split}_labels"] = idx(parts[f"{name}-labels-idx1-ubyte"], 1)
    return tensors


def idx(data: bytes, axes: int) -> torch.Tensor:
    """Return the bytes of an IDX file, [sizes as its header gives them]; raises ValueError.

    The header is 0, 0, the type (8: unsigned bytes), the number of axes, and the size of each in
    four bytes, the highest first.
    """
    start = 4 + 4 * axes
    if data[:4] != bytes((0, 0, 8, axes)) or len(data) < start:
        raise ValueError(f"no IDX file of bytes with {axes} axes")
    sizes = struct.unpack(f">{axes}I", data[4:start])
    values = np.frombuffer(data, np.uint8, offset=start)
    if len(values) != math.prod(sizes):
        raise ValueError(f"{len(values)} bytes where the header says {sizes}")
    return torch.from_numpy(values.reshape(sizes).copy())


def record_files(parts: Parts, *, labels: int, examples: Mapping[str, int]) -> Tensors:
    """Return the images and labels of CIFAR's binary files; raises ValueError.

    The files whose names begin with test are the test split. A record is `labels` bytes, the last
    of which is the class, and then the red, green and blue plane of the image. `examples` are the
    numbers of records that each split must have, since the files have no header that says it.
    """
    tensors: Tensors = {}
    for split, number in examples.items():
        of_test = split == "test"
        files = [data for name, data in parts.items() if name.startswith("test") == of_test]
        rows = records(files, labels + 3 * SIDE * SIDE)
        if len(rows) != number:
            raise ValueError(f"{len(rows)} images for {split} instead of {number}")
        pixels = rows[:, labels:].reshape(-1, 3, SIDE, SIDE)
        tensors[f"{split}_pixels"] = torch.from_numpy(np.ascontiguousarray(pixels))
        tensors[f"{split}_labels"] = torch.from_numpy(rows[:, labels - 1].copy())
    return tensors


def records(files: Iterable[bytes], length: int) -> np.ndarray:
    """Return the records of all files, uint8 [number, length]; raises ValueError."""
    tables = []
    for data in files:
        if len(data) % length:
            raise ValueError(f"{len(data)} bytes are no whole number of {length} bytes")
        tables.append(np.frombuffer(data, np.uint8).reshape(-1, length))
    return np.concatenate(tables)

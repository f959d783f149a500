"""Offer ImageNet, read from disk batch by batch."""

from pathlib import Path
from typing import Unpack

from lottery.pixels import decoding, folders
from lottery.pixels.augmentation import ImageOptions
from lottery.pixels.streams import StreamTask, stream_task


def imagenet(
    root: Path, *, path: str, size: int, workers: int, **options: Unpack[ImageOptions]
) -> StreamTask:
    """Return the 1,281,167 + 50,000 photographs of 1,000 classes (Russakovsky et al. 2015).

    [3, size, size], from `path`/{train,val}/<wnid>/*.JPEG, `path` taken below `root` unless it is
    absolute. As is the custom, val is the test split; `validation` is cut from train. `crop` above
    0 asks for random resized crops.
    """
    tree = folders.find_tree(folders.located(root, path))
    return stream_task(tree, decoding.form_of(tree, 3, size), workers, options)

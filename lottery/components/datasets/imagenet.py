"""Offer ImageNet, read from disk batch by batch."""

from pathlib import Path
from typing import Unpack

from lottery.tasks.images import decoding, folders
from lottery.tasks.images.augmentation import ClassOptions
from lottery.tasks.images.outline import Outline, looking, outline
from lottery.tasks.images.streams import StreamTask, stream_task

CLASSES = 1000
EXAMPLES = {"train": 1_281_167, "test": 50_000}


def imagenet(
    root: Path,
    *,
    path: str,
    size: int,
    max_pixels: int,
    workers: int,
    **options: Unpack[ClassOptions],
) -> StreamTask | Outline:
    """Return the 1,281,167 + 50,000 photographs of 1,000 classes (Russakovsky et al. 2015).

    [3, size, size], from `path`/{train,val}/<wnid>/*.JPEG, `path` taken below `root` unless it is
    absolute. As is the custom, val is the test split; `validation` is cut from train. `crop` above
    0 asks for random resized crops.
    """
    folder = folders.located(root, path)
    if looking() and not folder.is_dir():
        absent = f"ImageNet is not in {folder.absolute()}"
        return outline((3, size, size), CLASSES, EXAMPLES, options, absent)
    tree = folders.find_tree(folder)
    return stream_task(tree, decoding.form_of(tree, 3, size, max_pixels), workers, options, root)

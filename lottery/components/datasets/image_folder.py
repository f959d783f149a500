"""Offer any folder of images that is laid out as split/class/file."""

from pathlib import Path
from typing import Unpack

from lottery.errors import UsageError
from lottery.tasks.images import decoding, folders
from lottery.tasks.images.augmentation import ClassOptions
from lottery.tasks.images.images import ImageTask
from lottery.tasks.images.outline import Outline
from lottery.tasks.images.streams import StreamTask, stream_task


def image_folder(
    root: Path,
    *,
    path: str,
    size: int,
    channels: int,
    stream: str,
    memory: float,
    max_pixels: int,
    workers: int,
    **options: Unpack[ClassOptions],
) -> ImageTask | StreamTask | Outline:
    """Return the images below `path` as [channels, size, size]; the classes are the folder names.

    The splits are the folders train, test and val (valid, validation). Without test, val is the
    test split; a val folder beside a test folder is the validation split, and `validation` must be
    0. Images are scaled by their shorter side and the centre is cut out; with `size` 0 they must
    all have one size. Kept in memory as uint8, decoded once and cached below `root`; or, above
    `memory` GiB, read batch by batch, where `crop` above 0 stands for random resized crops.
    """
    if stream not in ("auto", "yes", "no"):
        raise UsageError(f"dataset.stream: '{stream}' is none of auto, yes, no")
    tree = folders.find_tree(folders.located(root, path))
    form = decoding.form_of(tree, channels, size, max_pixels)
    large = decoding.pixels_bytes(tree, form) > memory * 2**30
    if stream == "yes" or (stream == "auto" and large):
        return stream_task(tree, form, workers, options, root)
    return decoding.decoded_task(root, tree, form, workers, options)

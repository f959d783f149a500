"""Decode image files into tensors, once, and say how far that is.

The rotation that a camera notes in a file (EXIF) is ignored, as torchvision does.
"""

import hashlib
import io
import re
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from lottery.errors import UsageError
from lottery.pixels.augmentation import ImageOptions
from lottery.pixels.cache import Tensors, cached, check_images
from lottery.pixels.contents import Files, content, short
from lottery.pixels.folders import Tree, content_digest
from lottery.pixels.images import ImageTask, image_task
from lottery.pixels.outline import AbsentError, Outline, looking, outline
from lottery.pixels.progress import Progress
from lottery.pixels.splits import Images

PILLOW_MODES = {1: "L", 3: "RGB"}
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # none that starts a program
DECODER = 2  # raised where the pixels of any file change
CHUNK = 64  # images that a thread decodes at a time
LARGE = 2**24  # pixels of an image of which threads hold one at a time: it takes 4 bytes a pixel
ONE_AT_A_TIME = threading.Lock()


class Form(NamedTuple):
    """What an image becomes: uint8 [channels, height, width]."""

    channels: int
    height: int
    width: int
    shorter: int  # the shorter side is scaled to this before the centre is cut out; 0 = no change


def read_image(path: str, channels: int) -> Image.Image:
    """Return the image of a file as `decoded` does."""
    return decoded(content(path)[0], path, channels)


def decoded(data: bytes, path: str, channels: int, turn: ExitStack | None = None) -> Image.Image:
    """Return an image in grey (1 channel) or RGB (3); raises UsageError naming the file.

    A large one is decoded in its `turn` among threads, which lasts until that is closed.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            image: Image.Image = file
            if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
            if turn is not None and image.width * image.height > LARGE:
                turn.enter_context(ONE_AT_A_TIME)
            if image.mode in ("I", "F"):
                raise ValueError(f"mode {image.mode} has no fixed range")
            if image.mode.startswith("I;16"):
                image = image.point(lambda grey: grey / 256)  # convert() would clip at 255
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")  # Pillow warns of the direct way
            return image.convert(PILLOW_MODES[channels])
    except Exception as error:  # a broken file can raise whatever the decoder did not foresee
        why = re.sub(r" <_io.BytesIO[^>]*>", "", " ".join(str(error).split()))
        why = why or type(error).__name__
        raise UsageError(f"{path} cannot be read as an image ({why})") from error


def centre(image: Image.Image, form: Form) -> Image.Image:
    """Return the image at the size of `form`: scaled by its shorter side, the centre cut out.

    Both in one resampling. Raises ValueError where nothing may be scaled and the size is another.
    """
    width, height = image.size
    if not form.shorter:
        if (height, width) != (form.height, form.width):
            raise ValueError(
                f"it is {width} x {height} pixels, the first image is "
                f"{form.width} x {form.height}; set dataset.size to scale them all"
            )
        return image
    scale = min(width, height) / form.shorter
    across, down = scale * form.width, scale * form.height
    left, top = (width - across) / 2, (height - down) / 2
    box = (left, top, left + across, top + down)
    return image.resize((form.width, form.height), Image.Resampling.BILINEAR, box)


def to_tensor(image: Image.Image) -> Tensor:
    """Return uint8 [C, H, W]."""
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(image.height, image.width, -1).permute(2, 0, 1)


def form_of(tree: Tree, channels: int, size: int) -> Form:
    """Return what the images become: `size` a side, or as the first one is where that is 0."""
    if channels not in PILLOW_MODES:
        raise UsageError(f"dataset.channels={channels}: type 1 (grey) or 3 (colour)")
    if size < 0:
        raise UsageError(f"dataset.size={size} is below 0")
    if size:
        return Form(channels, size, size, size)
    first = read_image(tree.name(tree.splits["train"][0]), channels)
    return Form(channels, first.height, first.width, 0)


def pixels_bytes(tree: Tree, form: Form) -> int:
    """Return the memory that all images take as uint8."""
    return sum(map(len, tree.splits.values())) * form.channels * form.height * form.width


def decoded_task(
    root: Path, tree: Tree, form: Form, workers: int, options: ImageOptions
) -> ImageTask | Outline:
    """Return a task whose images are all in memory, decoded once and cached below root.

    The cache is known by the content of the files, and the task's fingerprint is of that and of
    the pixels, since another Pillow may decode to others. While one only looks, an outline stands
    for images that were never decoded.
    """
    try:
        files = tree.hashed(root)
        source = content_digest(tree, files, DECODER, form)
        tensors, sha = cached(
            root,
            f"{short(tree.folder.name)}-{source[:16]}",
            lambda: decode(tree, form, workers, files),
            partial(check_images, splits=tree.splits, classes=tree.classes),
        )
    except AbsentError as absent:
        examples = {split: len(files) for split, files in tree.splits.items()}
        return outline(form[:3], tree.classes, examples, options, absent)
    splits = {
        split: Images(tensors[f"{split}_pixels"], tensors[f"{split}_labels"].long())
        for split in tree.splits
    }
    both = hashlib.sha256(f"{source} {sha}".encode()).hexdigest()
    return image_task(
        splits["train"], splits["test"], both, tree.classes, options, splits.get("val")
    )


def decode(tree: Tree, form: Form, workers: int, files: Files | None = None) -> Tensors:
    """Return pixels uint8 [N, C, H, W] and labels int32 [N] of every split.

    `files` are those of the tree with their hashes; raises UsageError for one that has changed.
    """
    if looking():
        raise AbsentError(f"the images of {tree.folder} are not decoded yet")
    files = files or tree.hashed(None)
    total = len(files.paths)
    progress = Progress(f"decoding {total:,} images of {tree.folder}", total)
    result: Tensors = {}
    start = 0
    for split, members in tree.splits.items():
        pixels = torch.empty((len(members), *form[:3]), dtype=torch.uint8)
        decode_into(pixels, files, start, form, workers, progress)
        start += len(members)
        result[f"{split}_pixels"] = pixels
        result[f"{split}_labels"] = torch.tensor([f.label for f in members], dtype=torch.int32)
    progress.end()
    return result


def decode_into(
    pixels: Tensor, files: Files, start: int, form: Form, workers: int, progress: Progress
) -> None:
    """Fill `pixels` in place with the files from number `start` on.

    With `workers` threads: Pillow decodes outside of Python's lock.
    """

    def work(rows: list[int]) -> None:
        for row in rows:
            path = files.paths[start + row]
            try:
                with ExitStack() as turn:
                    image = decoded(files.read(start + row), path, form.channels, turn)
                    pixels[row] = to_tensor(centre(image, form))
                    del image
            except ValueError as error:
                raise UsageError(f"{path}: {error}") from error
        progress.add(len(rows))

    pool = ThreadPoolExecutor(max(1, workers))
    try:
        for _ in pool.map(work, chunked(range(len(pixels)), CHUNK)):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def chunked(items: Iterable[int], size: int) -> Iterator[list[int]]:
    """Yield the items in lists of `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk

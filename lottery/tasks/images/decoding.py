"""Decode image files into tensors, once, and say how far that is."""

import hashlib
import io
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, _imaging
from torch import Tensor

from lottery.errors import UsageError
from lottery.tasks.images.augmentation import ImageOptions
from lottery.tasks.images.cache import Tensors, cached, check_images
from lottery.tasks.images.contents import Files, content, short
from lottery.tasks.images.folders import Tree, content_digest
from lottery.tasks.images.images import ImageTask, image_task
from lottery.tasks.images.modes import PILLOW_MODES, flat
from lottery.tasks.images.outline import AbsentError, Outline, looking, outline
from lottery.tasks.images.pictures import Broken, told
from lottery.tasks.images.progress import Progress
from lottery.tasks.images.splits import Images

WANTED = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
_imaging.set_block_size(2**26)  # one that malloc maps, and so gives back, on any thread
Image.init()
FORMATS = tuple(name for name in WANTED if name in Image.OPEN)  # none that starts a program
MOST = 89_478_485  # pixels of an image, as in Pillow: a file of a few kB may claim any number
warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is said in our words
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
    most: int = MOST  # pixels that a file may have; 0 = any number


class Unreadable(UsageError):  # noqa: N818  (a kind of wrong use: such a picture)
    """A file that is meant as a picture cannot be decoded."""

    def __init__(self, path: str, why: str, pixels: int = 0) -> None:
        self.broken = Broken(path, why, pixels)
        super().__init__(told([self.broken], None))

    def __reduce__(self) -> tuple[type, tuple[str, str, int]]:
        return type(self), (self.broken.path, self.broken.why, self.broken.pixels)


class TooLargeError(Exception):
    """An image has more pixels than it may have."""

    def __init__(self, pixels: int) -> None:
        super().__init__(f"it has {pixels:,} pixels, more than dataset.max_pixels")
        self.pixels = pixels


def read_image(path: str, channels: int, most: int = MOST) -> Image.Image:
    """Return the image of a file as `decoded` does."""
    return decoded(content(path)[0], path, channels, most)


def decoded(
    data: bytes, path: str, channels: int, most: int = MOST, turn: ExitStack | None = None
) -> Image.Image:
    """Return an image in grey (1 channel) or RGB (3); raises Unreadable naming the file.

    A large one is decoded in its `turn` among threads, which lasts until that is closed.
    """
    limit = Image.MAX_IMAGE_PIXELS if most == MOST else most
    if most != MOST and Image.MAX_IMAGE_PIXELS and not 0 < most <= Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = most or None  # Pillow's own limit: who asks for more has it raised
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            pixels = file.width * file.height
            if limit and pixels > limit:
                raise TooLargeError(pixels)
            if turn is not None and pixels > LARGE:
                turn.enter_context(ONE_AT_A_TIME)
            return flat(file, channels)
    except TooLargeError as error:
        raise Unreadable(path, str(error), error.pixels) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        number = re.search(r"(\d+) pixels", str(error))
        large = TooLargeError(int(number[1]) if number else MOST)
        raise Unreadable(path, str(large), large.pixels) from error
    except Exception as error:  # a broken file can raise whatever the decoder did not foresee
        why = re.sub(r" <_io.BytesIO[^>]*>", "", " ".join(str(error).split()))
        raise Unreadable(path, why or type(error).__name__) from error


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


def form_of(tree: Tree, channels: int, size: int, most: int = MOST) -> Form:
    """Return what the images become: `size` a side, or as the first one is where that is 0."""
    if most < 0:
        raise UsageError(f"dataset.max_pixels={most} is below 0; 0 is no limit")
    if channels not in PILLOW_MODES:
        raise UsageError(f"dataset.channels={channels}: type 1 (grey) or 3 (colour)")
    if size < 0:
        raise UsageError(f"dataset.size={size} is below 0")
    if size:
        return Form(channels, size, size, size, most)
    first = read_image(tree.name(tree.splits["train"][0]), channels, most)
    return Form(channels, first.height, first.width, 0, most)


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
        source = content_digest(tree, files, DECODER, form[:4])
        tensors, sha = cached(
            root,
            f"{short(tree.folder.name)}-{source[:16]}",
            lambda: decode(tree, form, workers, files),
            partial(check_images, splits=tree.splits, classes=tree.classes),
        )
    except AbsentError as absent:
        examples = {split: len(files) for split, files in tree.splits.items()}
        return outline(form[:3], tree.classes, examples, options, absent, tree.names)
    splits = {
        split: Images(tensors[f"{split}_pixels"], tensors[f"{split}_labels"].long())
        for split in tree.splits
    }
    both = hashlib.sha256(f"{source} {sha}".encode()).hexdigest()
    return image_task(
        splits["train"], splits["test"], both, tree.classes, options, splits.get("val"), tree.names
    )


def decode(tree: Tree, form: Form, workers: int, files: Files | None = None) -> Tensors:
    """Return pixels uint8 [N, C, H, W] and labels int32 [N] of every split.

    `files` are those of the tree with their hashes. Raises UsageError for one that has changed,
    and for all together that cannot be decoded, with the command that removes them.
    """
    if looking():
        raise AbsentError(f"the images of {tree.folder} are not decoded yet")
    files = files or tree.hashed(None)
    total = len(files.paths)
    progress = Progress(f"decoding {total:,} images of {tree.folder}", total)
    result: Tensors = {}
    broken: list[Broken] = []
    start = 0
    for split, members in tree.splits.items():
        pixels = torch.empty((len(members), *form[:3]), dtype=torch.uint8)
        broken += decode_into(pixels, files, start, form, workers, progress)
        start += len(members)
        result[f"{split}_pixels"] = pixels
        result[f"{split}_labels"] = torch.tensor([f.label for f in members], dtype=torch.int32)
    progress.end()
    if broken:
        raise UsageError(told(broken, files.root))
    return result


def decode_into(
    pixels: Tensor, files: Files, start: int, form: Form, workers: int, progress: Progress
) -> list[Broken]:
    """Fill `pixels` in place with the files from number `start` on; return those that are broken.

    With `workers` threads: Pillow decodes outside of Python's lock.
    """

    def work(rows: list[int]) -> list[Broken]:
        found = []
        for row in rows:
            path = files.paths[start + row]
            try:
                with ExitStack() as turn:
                    image = decoded(files.read(start + row), path, form.channels, form.most, turn)
                    pixels[row] = to_tensor(centre(image, form))
                    del image
            except Unreadable as error:
                found.append(error.broken)
            except ValueError as error:
                raise UsageError(f"{path}: {error}") from error
        progress.add(len(rows))
        return found

    pool = ThreadPoolExecutor(max(1, workers))
    try:
        chunks = pool.map(work, chunked(range(len(pixels)), CHUNK))
        return [broken for found in chunks for broken in found]
    finally:
        pool.shutdown(cancel_futures=True)


def broken_among(files: Files, form: Form, workers: int) -> list[Broken]:
    """Return all files that cannot be decoded."""

    def look(number: int) -> Broken | None:
        try:
            path = files.paths[number]
            decoded(content(path)[0], path, form.channels, form.most)
        except Unreadable as error:
            return error.broken
        return None

    with ThreadPoolExecutor(max(1, workers)) as pool:
        return [found for found in pool.map(look, range(len(files.paths))) if found]


def chunked(items: Iterable[int], size: int) -> Iterator[list[int]]:
    """Yield the items in lists of `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk

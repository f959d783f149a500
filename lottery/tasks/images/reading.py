"""Read image files a batch at a time, cropped and mirrored by what their number draws."""

import math
from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lottery.errors import LotteryError, UsageError
from lottery.tasks.images.contents import Files
from lottery.tasks.images.decoding import Form, centre, decoded, to_tensor
from lottery.terms import seeds

AREA = (0.08, 1.0)  # of a random resized crop, as share of the image (Szegedy et al. 2015)
RATIO = (3 / 4, 4 / 3)  # width to height of it
ATTEMPTS = 10  # at a crop that lies within the image, before the centre is taken

Key = tuple[tuple[int, int] | None, list[int]]  # (seed, epoch) of an augmented batch; its files


class Plan(Sampler[Key]):
    """What a loader reads next. Its workers live on while the plan changes."""

    def __init__(self) -> None:
        self.keys: list[Key] = []

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)


class Reader(Dataset[Tensor | LotteryError]):
    """The files, read a batch at a time into uint8 [B, C, H, W].

    An error is returned: raised in a worker, it would arrive as a page of traceback.
    """

    def __init__(self, files: Files, form: Form, crop: bool, flip: bool) -> None:
        self.files, self.form, self.crop, self.flip = files, form, crop, flip

    def __getitem__(self, key: Key) -> Tensor | LotteryError:
        words, files = key
        try:
            return torch.stack([self.read(file, words) for file in files])
        except LotteryError as error:
            return error

    def read(self, file: int, words: tuple[int, int] | None) -> Tensor:
        """Return one image, augmented by what (seed, epoch, file) draws if there are words."""
        path = self.files.paths[file]
        image = decoded(self.files.read(file), path, self.form.channels, self.form.most)
        try:
            if words is None:
                return to_tensor(centre(image, self.form))
            seed, epoch = words
            draw = seeds.generator(seed, "augment", epoch, file)
            mirrored = bool(torch.randint(0, 2, (), generator=draw)) and self.flip
            pixels = to_tensor(
                random_crop(image, draw, self.form) if self.crop else centre(image, self.form)
            )
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
        return pixels.flip(2) if mirrored else pixels


def random_crop(image: Image.Image, draw: torch.Generator, form: Form) -> Image.Image:
    """Return a random part of the image at the size of `form`; the centre if none was found.

    Szegedy et al. 2015, as torchvision's RandomResizedCrop has it.
    """
    width, height = image.size
    for share, shape, across, down in torch.rand((ATTEMPTS, 4), generator=draw).tolist():
        area = width * height * (AREA[0] + share * (AREA[1] - AREA[0]))
        low, high = map(math.log, RATIO)
        ratio = math.exp(low + shape * (high - low))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(across * (width - w + 1)), int(down * (height - h + 1))
            box = (left, top, left + w, top + h)
            return image.resize((form.width, form.height), Image.Resampling.BILINEAR, box)
    return centre(image, form._replace(shorter=min(form.height, form.width)))

"""Hold images of which it is known where in them which concept is: made here, or of a folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lottery.errors import UsageError
from lottery.tasks.images.augmentation import ImageOptions, normalise
from lottery.terms import seeds
from lottery.wording.text import first_line

SIDE = 64  # pixels of an image that is made here
GROUND = 128  # its grey
COLOURS = {
    "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255),
    "yellow": (255, 255, 0), "magenta": (255, 0, 255), "cyan": (0, 255, 255),
}  # fmt: skip
Field = Callable[[Tensor, Tensor], Tensor]
SHAPES: dict[str, Field] = {  # of places from -1 to 1
    "circle": lambda x, y: x**2 + y**2 < 1,
    "square": lambda x, y: torch.maximum(x.abs(), y.abs()) < 0.9,
    "triangle": lambda x, y: (y > -0.9) & (y + 2 * x.abs() < 0.9),
    "cross": lambda x, y: (torch.minimum(x.abs(), y.abs()) < 0.35)
    & (torch.maximum(x.abs(), y.abs()) < 1),
    "ring": lambda x, y: (x**2 + y**2 < 1) & (x**2 + y**2 > 0.35),
    "diamond": lambda x, y: x.abs() + y.abs() < 1,
}
TEXTURES: dict[str, Field] = {  # of pixels: which are dark
    "plain": lambda x, y: torch.zeros_like(x + y, dtype=torch.bool),
    "stripes": lambda x, y: (x + 0 * y) % 6 < 3,
    "checks": lambda x, y: (x // 4 + y // 4) % 2 == 0,
    "dots": lambda x, y: (x % 6 - 3) ** 2 + (y % 6 - 3) ** 2 < 4,
}
DARK = 0.4  # of the brightness
NOISE = 24  # of pixels, from end to end: else many activations are the same, and none above others


@dataclass(frozen=True, eq=False)
class Concepts:
    """Images uint8 [N, C, H, W] with, of each, which pixels show each concept: bool [K, h, w]."""

    names: list[str]
    categories: Tensor  # the number of each concept's category, [K]
    images: list[Tensor]
    segments: list[Tensor]

    def annotated(self, segment: Tensor) -> Tensor:
        """Return of which concepts an image has annotations of their category, [K]."""
        there = self.categories[segment.flatten(1).any(1)]
        return (self.categories[:, None] == there[None]).any(1)

    def fitted(self, shape: tuple[int, ...], options: ImageOptions) -> Tensor:
        """Return the images as a net of such inputs takes them, [N, *shape]."""
        channels, *size = shape
        made = []
        for image in self.images:
            scaled = F.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0]
            if channels != len(scaled):
                scaled = scaled.mean(0, keepdim=True).expand(channels, -1, -1)
            made.append(scaled.round().clamp(0, 255).to(torch.uint8))
        return normalise(torch.stack(made), options)


def made_up_concepts(number: int) -> Concepts:
    """Return so many images of a shape in a colour and a texture on grey, at counted places.

    6 shapes, 6 colours and 4 textures in turn, so that 144 have each together once.
    """
    kinds = [list(SHAPES), list(COLOURS), list(TEXTURES)]
    names = [name for kind in kinds for name in kind]
    categories = torch.tensor([place for place, kind in enumerate(kinds) for _ in kind])
    down, across = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    images, segments = [], []
    for index in range(number):
        draw = seeds.generator("concepts", index)
        size, top, left = torch.rand(3, generator=draw).tolist()
        radius = 12 + 12 * size
        y = (down - radius - top * (SIDE - 2 * radius)) / radius
        x = (across - radius - left * (SIDE - 2 * radius)) / radius
        own = (index % 6, index // 6 % 6, index // 36 % 4)
        shape, colour, texture = (kind[place] for kind, place in zip(kinds, own, strict=True))
        inside, dark = SHAPES[shape](x, -y), TEXTURES[texture](across, down)
        bright = torch.where(dark, DARK, 1.0)
        painted = torch.tensor(COLOURS[colour])[:, None, None] * bright
        image = torch.where(inside, painted, torch.tensor(float(GROUND)))
        image += NOISE * (torch.rand(image.shape, generator=draw) - 0.5)
        images.append(image.round().clamp(0, 255).to(torch.uint8))
        segment = torch.zeros(len(names), SIDE, SIDE, dtype=torch.bool)
        for name in (shape, colour, texture):
            segment[names.index(name)] = inside
        segments.append(segment)
    return Concepts(names, categories, images, segments)


def folder_of_concepts(path: str) -> Concepts:
    """Return the images of a folder, images/NAME.png, with masks/CATEGORY/CONCEPT/NAME.png.

    A mask is as large as its image, white where the concept is. Raises UsageError for a folder
    that is none such, and a picture that cannot be read or is of another size.
    """
    folder = Path(path).expanduser()
    files = sorted(file for file in (folder / "images").glob("*.*") if file.is_file())
    places = sorted(p for p in (folder / "masks").glob("*/*") if p.is_dir())
    if not files or not places:
        raise UsageError(
            f"analyses.dissection.path={path}: there is no images/NAME.png with "
            "masks/CATEGORY/CONCEPT/NAME.png in it; put them there, or type "
            "analyses.dissection.path=null"
        )
    groups = sorted({place.parent.name for place in places})
    categories = torch.tensor([groups.index(place.parent.name) for place in places])
    images, segments = [], []
    for file in files:
        image = picture(file, "RGB").permute(2, 0, 1)
        segment = torch.zeros(len(places), *image.shape[1:], dtype=torch.bool)
        for number, place in enumerate(places):
            for found in place.glob(f"{glob_free(file.stem)}.*"):
                mask = picture(found, "L")
                if mask.shape != image.shape[1:]:
                    raise UsageError(f"analyses.dissection.path: {found} is not as large as {file}")
                segment[number] = mask > 127
        images.append(image)
        segments.append(segment)
    return Concepts([place.name for place in places], categories, images, segments)


def picture(file: Path, mode: str) -> Tensor:
    """Return the pixels of a picture; raises UsageError for one that cannot be read."""
    try:
        with Image.open(file) as opened:
            return torch.from_numpy(np.array(opened.convert(mode)))
    except (OSError, ValueError) as error:
        why = first_line(error)
        raise UsageError(f"analyses.dissection.path: {file} is no picture ({why})") from error


def glob_free(name: str) -> str:
    """Return a name in which no letter is a pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)

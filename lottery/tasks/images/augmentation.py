"""Turn raw pixels into what a net is given: normalised, and in training changed at random."""

from typing import Any, NotRequired, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from lottery.errors import UsageError


class ImageOptions(TypedDict):
    """What every image dataset can be asked for; each dataset's yaml states all of them."""

    validation: int  # training examples set apart for validation, picked by split_seed
    split_seed: int  # picks the validation split, the subsample and the noisy labels
    subsample: int  # training examples used, equally many of each class where there are; 0 = all
    label_noise: float  # share of the training labels replaced by a random other class
    crop: int  # pixels of black padding around which a random crop is taken
    flip: bool  # mirror half of the training images left to right
    cutout: int  # side in pixels of a black square at a random place
    mean: list[float]  # a channel, of pixels in [0, 1]
    std: list[float]


class ClassOptions(ImageOptions):
    """What a dataset can be asked for besides, unless its own setting `classes` makes them."""

    classes: NotRequired[Any]  # list of those that are used, numbers or names; None = all


def normalise(raw: Tensor, options: ImageOptions, channels_last: bool = False) -> Tensor:
    """Return uint8 pixels [B, C, H, W] as float32 of about zero mean and unit variance."""
    means = torch.tensor(options["mean"], device=raw.device).view(-1, 1, 1)
    stds = torch.tensor(options["std"], device=raw.device).view(-1, 1, 1)
    floats = raw.float().sub_(means * 255).div_(stds * 255)
    return floats.contiguous(memory_format=torch.channels_last) if channels_last else floats


def augment(raw: Tensor, draw: torch.Generator, options: ImageOptions) -> Tensor:
    """Return uint8 pixels [B, C, H, W] flipped, cropped and cut out, one draw an image.

    Draws are made on the CPU whatever the device, and always in the same order.
    """
    size, _, height, width = raw.shape
    crop, side = options["crop"], options["cutout"]
    offsets = torch.randint(0, 2 * crop + 1, (2, size, 1), generator=draw)
    flips = torch.randint(0, 2, (size, 1), generator=draw, dtype=torch.bool)
    centres = torch.rand((2, size, 1), generator=draw)
    rows = offsets[0] + torch.arange(height)
    columns = offsets[1] + torch.arange(width)
    if options["flip"]:
        columns = torch.where(flips, columns.flip(1), columns)
    padded = F.pad(raw, (crop,) * 4) if crop else raw
    images = torch.arange(size, device=raw.device)[:, None, None, None]
    channels = torch.arange(raw.shape[1], device=raw.device)[None, :, None, None]
    rows, columns = rows.to(raw.device), columns.to(raw.device)
    result = padded[images, channels, rows[:, None, :, None], columns[:, None, None, :]]
    return cut_out(result, centres, side) if side else result


def cut_out(raw: Tensor, centres: Tensor, side: int) -> Tensor:
    """Return pixels [B, C, H, W] with a black square each.

    `centres` [2, B, 1] are places of its centre in [0, 1), down and across; a square that reaches
    over the border is cut off there.
    """
    height, width = raw.shape[2:]
    tops = (centres[0] * height).long() - side // 2
    lefts = (centres[1] * width).long() - side // 2
    in_rows = (torch.arange(height) >= tops) & (torch.arange(height) < tops + side)
    in_columns = (torch.arange(width) >= lefts) & (torch.arange(width) < lefts + side)
    hole = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return raw.masked_fill(hole.to(raw.device), 0)


def check_options(options: ImageOptions, channels: int, examples: int, classes: int) -> None:
    """Raise UsageError, in one line, for options that no dataset of this shape can serve."""
    for key in ("mean", "std"):
        if len(options[key]) != channels:  # type: ignore[literal-required]
            raise UsageError(
                f"dataset.{key} has {len(options[key])} values, the images have "  # type: ignore[literal-required]
                f"{channels} channels; give one a channel"
            )
    if min(options["std"]) <= 0:
        raise UsageError(f"dataset.std must be above 0, not {list(options['std'])}")
    left = examples - options["validation"]
    if options["validation"] < 0 or left < 2:
        raise UsageError(
            f"dataset.validation={options['validation']} of {examples} training "
            "examples leaves too few to train on; give a smaller number"
        )
    if not 0 <= options["subsample"] <= left:
        raise UsageError(
            f"dataset.subsample={options['subsample']} is outside 0 (all) to {left}, "
            "the training examples there are"
        )
    if not 0 <= options["label_noise"] <= 1:
        raise UsageError(
            f"dataset.label_noise={options['label_noise']} is outside 0 to 1; type 0 for none"
        )
    if classes < 2:
        raise UsageError(f"a classifier needs 2 classes or more; this data set has {classes}")
    if options["crop"] < 0 or options["cutout"] < 0:
        raise UsageError(
            f"dataset.crop={options['crop']}, dataset.cutout={options['cutout']}: pixels, 0 or more"
        )

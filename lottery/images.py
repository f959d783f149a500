"""Make an image task out of uint8 tensors: splits, batches, augmentation, evaluation.

Axes: N dataset, B batch, C H W image, K classes.
"""

import hashlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from types import ModuleType
from typing import Any, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery import seeds
from lottery.errors import UsageError
from lottery.task import Batch, zero_sum

FLOAT_BYTES = 512 * 2**20  # a split is kept normalised in float32 up to this size
EVALUATION_BATCH = 500  # a constant: the last digits of a loss depend on it


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


@dataclass(frozen=True, eq=False)
class Images:
    """Pixels uint8 [N, C, H, W] and labels int64 [N]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, index: Tensor) -> "Images":
        return Images(self.pixels[index], self.labels[index])


@dataclass(frozen=True, eq=False)
class ImageTask:
    """A task of image classification whose pixels lie on the training device."""

    splits: dict[str, Images]
    outputs: int
    fingerprint: str
    options: ImageOptions
    batch_size: int = 0
    device: torch.device = torch.device("cpu")
    label_smoothing: float = 0.0
    channels_last: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.splits["train"].pixels.shape[1:])

    @property
    def steps_per_epoch(self) -> int:
        return batches_in(self.size("train"), self.batch_size)

    def size(self, split: str) -> int:
        return len(self.splits[split]) if split in self.splits else 0

    def prepare(
        self,
        *,
        batch_size: int,
        device: torch.device,
        label_smoothing: float = 0.0,
        channels_last: bool = False,
    ) -> "ImageTask":
        """Move every split to `device` and set what the training recipe decides."""
        moved = {
            name: Images(images.pixels.to(device), images.labels.to(device))
            for name, images in self.splits.items()
        }
        return replace(
            self,
            splits=moved,
            batch_size=batch_size,
            device=device,
            label_smoothing=label_smoothing,
            channels_last=channels_last,
        )

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield (float32 [B, C, H, W], int64 [B]); train is shuffled and augmented."""
        labels = self.splits[split].labels
        if split != "train":
            yield from islice(self.evaluation_batches(split), start, None)
            return
        order = torch.randperm(len(labels), generator=seeds.generator(seed, "order", epoch))
        order = order.to(self.device)
        for index in range(start, self.steps_per_epoch):
            picked = order[index * self.batch_size : (index + 1) * self.batch_size]
            if self._augments:
                draw = seeds.generator(seed, "augment", epoch, index)
                yield self._augmented(picked, draw), labels[picked]
            else:
                yield self._pixels("train", picked), labels[picked]

    def evaluation_batches(self, split: str) -> Iterator[Batch]:
        """Yield a split in its order, neither shuffled nor augmented."""
        labels = self.splits[split].labels
        for at in range(0, len(labels), EVALUATION_BATCH):
            rows = slice(at, at + EVALUATION_BATCH)
            yield self._pixels(split, rows), labels[rows]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        pixels, labels = batch
        return F.cross_entropy(model(pixels), labels, label_smoothing=self.label_smoothing)

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return the mean cross-entropy (never smoothed) and the share of right answers."""
        return evaluate(self, model, split)

    def scoring_batches(
        self,
        generator: torch.Generator,
        *,
        size: int = 0,
        per_class: int = 0,
        batch: int = 0,
        augment: bool = False,
        by_class: bool = False,
    ) -> list[Batch]:
        """Return `per_class` training examples of each class, or `size` of any, in batches."""
        labels = self.splits["train"].labels
        picked = pick_examples(labels.cpu(), self.outputs, generator, size, per_class, by_class)
        batches: list[Batch] = []
        for rows in in_batches(picked.to(self.device), batch or self.batch_size):
            changed = augment and self._augments
            pixels = self._augmented(rows, generator) if changed else self._pixels("train", rows)
            batches.append((pixels, labels[rows]))
        return batches

    @property
    def _augments(self) -> bool:
        return bool(self.options["crop"] or self.options["flip"] or self.options["cutout"])

    @cached_property
    def _floats(self) -> dict[str, Tensor]:
        """Normalise each split once where it fits; never the train split that is augmented."""
        return {
            name: self._normalise(images.pixels)
            for name, images in self.splits.items()
            if images.pixels.numel() * 4 <= FLOAT_BYTES and not (name == "train" and self._augments)
        }

    def _pixels(self, split: str, rows: Tensor | slice) -> Tensor:
        if split in self._floats:
            return self._floats[split][rows]
        return self._normalise(self.splits[split].pixels[rows])

    def _augmented(self, rows: Tensor, draw: torch.Generator) -> Tensor:
        return self._normalise(augment(self.splits["train"].pixels[rows], draw, self.options))

    def _normalise(self, raw: Tensor) -> Tensor:
        return normalise(raw, self.options, self.channels_last)


def batches_in(examples: int, batch_size: int) -> int:
    """Return the batches of an epoch: the last may be short, but a lone example is left out.

    BatchNorm cannot train on one example.
    """
    whole, rest = divmod(examples, batch_size)
    return whole + (rest > 1) or 1


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


@torch.no_grad()
def evaluate(task: Any, model: nn.Module, split: str) -> dict[str, float]:
    """Return {"loss", "accuracy"} of a classifier over a split; leaves the training mode as found.

    `task` gives the batches of a split in their order, neither shuffled nor augmented.
    """
    was_training = model.training
    model.eval()
    loss = zero_sum(task.device)
    right = torch.zeros((), dtype=torch.int64, device=task.device)
    seen = 0
    for pixels, labels in task.evaluation_batches(split):
        scores = model(pixels).float()
        loss += F.cross_entropy(scores, labels, reduction="sum")
        right += (scores.argmax(1) == labels).sum()
        seen += len(labels)
    model.train(was_training)
    return {"loss": float(loss) / seen, "accuracy": int(right) / seen}


def pick_examples(
    labels: Tensor,
    classes: int,
    generator: torch.Generator,
    size: int,
    per_class: int,
    by_class: bool = False,
) -> Tensor:
    """Return the indices of `per_class` examples of each class, or else of `size` examples.

    The classes take turns; one that has fewer examples gives all it has. `by_class` puts all
    examples of class 0 first, then those of class 1, and so on.
    """
    picked = torch.randperm(len(labels), generator=generator)
    if per_class:
        shuffled = labels[picked]
        rank = rank_in_class(shuffled, classes)
        taken = rank < per_class
        picked = picked[taken][torch.argsort((rank * classes + shuffled)[taken])]
    else:
        picked = picked[: size or len(labels)]
    return picked[torch.argsort(labels[picked], stable=True)] if by_class else picked


def in_batches(picked: Tensor, size: int) -> list[Tensor]:
    """Return the indices in batches of `size`; a lone last one joins the batch before it.

    BatchNorm cannot train on one example.
    """
    batches = list(torch.split(picked, size))
    if len(batches) > 1 and size > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def rank_in_class(labels: Tensor, classes: int) -> Tensor:
    """Return for each example how many of its class come before it, int64 [N]."""
    rank = torch.empty_like(labels)
    for label in range(classes):
        members = labels == label
        rank[members] = torch.arange(int(members.sum()))
    return rank


def image_task(
    train: Images,
    test: Images,
    source: str,
    classes: int,
    options: ImageOptions,
    val: Images | None = None,
) -> ImageTask:
    """Return a task with train, val and test apart.

    `source` is the content hash of the raw data; `val` is given where the data set comes with
    one. Raises UsageError for options that cannot be.
    """
    check_options(options, train.pixels.shape[1], len(train), classes)
    splits = split_up(train, test, classes, options, val)
    words = json.dumps([source, classes, options], sort_keys=True)
    return ImageTask(splits, classes, hashlib.sha256(words.encode()).hexdigest(), options)


def split_up(
    train: Images, test: Images, classes: int, options: ImageOptions, val: Images | None = None
) -> dict[str, Images]:
    """Return train, test and, where there is one, val.

    Validation is cut from train before anything else is done to it, so a subsample or noisy
    labels never reach it.
    """
    seed = options["split_seed"]
    if val is not None and options["validation"]:
        raise UsageError(
            f"dataset.validation={options['validation']}: this data set has its own "
            "validation split; give 0"
        )
    order = torch.randperm(len(train), generator=seeds.generator(seed, "validation"))
    held_out, rest = order[: options["validation"]], order[options["validation"] :].sort().values
    splits = {"train": train.pick(rest), "test": test}
    if val is not None or len(held_out):
        splits["val"] = train.pick(held_out.sort().values) if val is None else val
    if options["subsample"]:
        splits["train"] = subsample(splits["train"], options["subsample"], classes, seed)
    if options["label_noise"]:
        splits["train"] = add_label_noise(splits["train"], options["label_noise"], classes, seed)
    return splits


def check_options(options: ImageOptions, channels: int, examples: int, classes: int) -> None:
    """Raise UsageError, in one line, for options that no dataset of this shape can serve."""
    for key in ("mean", "std"):
        if len(options[key]) != channels:  # type: ignore[literal-required]
            raise UsageError(
                f"dataset.{key} has {len(options[key])} values, the images have "  # type: ignore[literal-required]
                f"{channels} channels; give one a channel"
            )
    if min(options["std"]) <= 0:
        raise UsageError("dataset.std must be above 0")
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
        raise UsageError(f"dataset.label_noise={options['label_noise']} is outside 0 to 1")
    if classes < 2:
        raise UsageError(f"a classifier needs 2 classes or more; this data set has {classes}")
    if options["crop"] < 0 or options["cutout"] < 0:
        raise UsageError("dataset.crop and dataset.cutout are pixels, 0 or more")


def subsample(images: Images, number: int, classes: int, seed: int) -> Images:
    """Return `number` examples, as many of each class as there are, the rest at random."""
    order = torch.randperm(len(images), generator=seeds.generator(seed, "subsample"))
    rank = rank_in_class(images.labels[order], classes)
    chosen = order[torch.argsort(rank, stable=True)[:number]]
    return images.pick(chosen.sort().values)


def add_label_noise(images: Images, share: float, classes: int, seed: int) -> Images:
    """Replace exactly round(share * N) labels by another class, uniformly."""
    draw = seeds.generator(seed, "label noise")
    wrong = torch.randperm(len(images), generator=draw)[: round(share * len(images))]
    labels = images.labels.clone()
    labels[wrong] += torch.randint(1, classes, (len(wrong),), generator=draw)
    return Images(images.pixels, labels % classes)


def torchvision(module: str) -> ModuleType:
    """Import a module of torchvision, and mend the one way in which that fails.

    Its wheel registers kernels for operators that a CPU build of torch does not know
    ("operator torchvision::nms does not exist"); their schemas are defined and the import
    tried again. Raises UsageError where torchvision is not installed.
    """
    name = f"torchvision.{module}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"{name} cannot be imported ({error}); pip install torchvision") from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        KEPT_LIBRARIES.append(library)
        return importlib.import_module(name)


KEPT_LIBRARIES: list[Any] = []  # a library's definitions end with it

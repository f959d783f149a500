"""Split images: training, validation, test; fewer of them or wrong labels on request."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.tasks.images.augmentation import ImageOptions
from lottery.tasks.images.examples import rank_in_class
from lottery.terms import seeds


@dataclass(frozen=True, eq=False)
class Images:
    """Pixels uint8 [N, C, H, W] and labels int64 [N]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, index: Tensor) -> "Images":
        return Images(self.pixels[index], self.labels[index])


def split_up(
    train: Images, test: Images, classes: int, options: ImageOptions, val: Images | None = None
) -> dict[str, Images]:
    """Return train, test and, where there is one, val.

    Validation is cut from train before anything else is done to it, so a subsample or noisy
    labels never reach it.
    """
    seed = options["split_seed"]
    check_validation(val is not None, options)
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


def check_validation(own: bool, options: ImageOptions) -> None:
    """Raise UsageError where validation is to be cut from train beside an own such split."""
    if own and options["validation"]:
        raise UsageError(
            f"dataset.validation={options['validation']}: this data set has its own "
            "validation split; type dataset.validation=0"
        )


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

"""Take some of the classes of a data set, before anything else is done to it."""

from collections.abc import Sequence
from typing import Any, cast

import torch

from lottery.errors import UsageError
from lottery.tasks.images.augmentation import ImageOptions
from lottery.tasks.images.splits import Images
from lottery.wording.spelling import suggestion

Labels = dict[str, Images]  # of each split


def some_classes(
    splits: Labels, classes: int, options: ImageOptions, names: Sequence[str] = ()
) -> tuple[Labels, int, ImageOptions]:
    """Return the examples of the classes that `options` ask for, how many these are, and options.

    Labels are numbered anew, 0 to k - 1 in the order asked for. The options returned have classes
    as numbers, and none where all are meant, as if there were no such option: they are part of a
    fingerprint. Raises UsageError for classes that cannot be.
    """
    chosen, options = settled(options, classes, names)
    if chosen is None:
        return splits, classes, options
    number = torch.full((classes,), -1)
    number[chosen] = torch.arange(len(chosen))
    found = {}
    for split, images in splits.items():
        labels = number[images.labels]
        rows = (labels >= 0).nonzero().flatten()
        found[split] = Images(images.pixels[rows], labels[rows])
    return found, len(chosen), options


def settled(
    options: ImageOptions, classes: int, names: Sequence[str] = ()
) -> tuple[list[int] | None, ImageOptions]:
    """Return the numbers of the classes asked for, None for all; and options that say the same."""
    asked = options.get("classes")
    rest = {key: value for key, value in options.items() if key != "classes"}
    if asked is None:
        return None, cast(ImageOptions, rest)
    chosen = numbers(asked, classes, names)
    return chosen, cast(ImageOptions, {**rest, "classes": chosen})


def numbers(asked: Any, classes: int, names: Sequence[str]) -> list[int]:
    """Return the numbers of classes that are given by number or name; raises UsageError."""
    if not isinstance(asked, list):
        raise UsageError(f"dataset.classes={asked} is no list; type, say, dataset.classes=[0,1,2]")
    found: list[int] = []
    for one in asked:
        if isinstance(one, str) and one in names:
            found.append(names.index(one))
        elif type(one) is int and 0 <= one < classes:
            found.append(one)
        else:
            named = suggestion(one, names) if isinstance(one, str) else ""
            also = " or the name of its folder" if names else ""
            raise UsageError(
                f"dataset.classes: there is no class {one}{named}; type numbers from 0 to "
                f"{classes - 1}{also}"
            )
    if twice := [one for one in found if found.count(one) > 1]:
        raise UsageError(f"dataset.classes: class {twice[0]} is there twice; type it once")
    if len(found) < 2:
        raise UsageError(
            f"dataset.classes={found}: a classifier needs 2 classes or more; type another, or null "
            "for all"
        )
    return found

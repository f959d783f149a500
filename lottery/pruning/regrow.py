"""Exchange weights of a sparse layer for others: what SET and RigL have in common."""

import math
from collections.abc import Mapping
from typing import TypedDict

from torch import Tensor

from lottery.errors import UsageError
from lottery.pruning.keep import keep_top
from lottery.terms.mask import Mask
from lottery.terms.step import Step, parse


class Exchange(TypedDict):
    """When and how much a method exchanges."""

    every: str  # steps between two updates
    until: str  # the last one comes before this step
    fraction: float  # share of a layer's kept weights, at the start
    anneal: str  # how that share falls: cosine, to 0, or constant


def share_at(step: Step, total: Step, options: Exchange) -> float | None:
    """Return the share of a layer's kept weights to exchange at this step; None for none.

    Raises UsageError for values out of range.
    """
    every, until, fraction = options["every"], options["until"], options["fraction"]
    anneal = options["anneal"]
    if anneal not in ("cosine", "constant"):
        raise UsageError(f"prune.update.anneal: '{anneal}' is neither cosine nor constant")
    if not 0 < fraction < 1:
        raise UsageError(f"prune.update.fraction: {fraction} is not between 0 and 1")
    size, length = total.steps_per_epoch, total.iteration
    period = parse(every, size, length, "prune.update.every").iteration
    end = parse(until, size, length, "prune.update.until").iteration
    if period < 1:
        raise UsageError(f"prune.update.every={every} is no length; write 100it or 1ep")
    if end > length or period >= end:
        raise UsageError(
            f"prune.update: every={every} and until={until} move no mask in training of {total}; "
            "until is its end at the latest, and every comes before it"
        )
    now = step.iteration
    if not 0 < now < end or now % period:
        return None
    return fraction * (1 + math.cos(math.pi * now / end)) / 2 if anneal == "cosine" else fraction


def exchange(
    mask: Mask, weights: Mapping[str, Tensor], growth: Mapping[str, Tensor], share: float
) -> Mask:
    """Return the mask after each layer dropped its smallest weights and grew as many others.

    Of n kept weights int(share * n) go, those of the smallest magnitude; as many come, those of
    the highest `growth` among all that are pruned then. One that is dropped may come back at once.
    Layers that `growth` lacks, or that are dense or empty, stay. Ties by index.
    """
    result = dict(mask)
    for name, scores in growth.items():
        kept = mask[name]
        number = int(kept.sum())
        moved = int(share * number)
        if not moved or number == kept.numel():
            continue
        stays = only(name, weights[name].detach().abs(), kept, number - moved)
        result[name] = stays | only(name, scores, ~stays, moved)
    return result


def only(name: str, scores: Tensor, pool: Tensor, number: int) -> Tensor:
    """Return the mask of the highest scores of one layer."""
    return keep_top({name: scores.float()}, {name: pool}, number)[name]

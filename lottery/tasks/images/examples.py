"""Pick the examples that a criterion looks at."""

import torch
from torch import Tensor


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

from itertools import pairwise

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.terms import units
from lottery.terms.mask import Mask, Scores
from lottery.terms.prunable import layers
from lottery.terms.task import Task
from lottery.terms.units import Units


def unit(model: nn.Module, task: Task, scores: Scores, mask: Mask, *, pool: str) -> Units:
    """Remove hidden units of nets that are stacked, each with the weights into it and out of it.

    Frankle & Carbin 2018 (arXiv v1), section 2: the score of a unit is the product of what its in-
    and its out-weights are pooled to. Nets that know nothing of each other are not compared: units
    are ranked within their own net and layer, and the units of one rank go together, so that every
    net keeps exactly as many.
    """
    every = layers(model)
    stack = [name for name in mask if every[name].kind.stacked]
    if len(stack) < 2 or len(stack) < len(mask):
        raise UsageError(
            "prune/structure=unit is for nets that are stacked, like model=xor_stack, and for all "
            "of their layers; type prune/structure=neuron for this one"
        )
    found: Scores = {}
    alive: Mask = {}
    places: dict[str, Tensor] = {}
    for into, out in pairwise(stack):
        nets, number, _ = mask[into].shape
        first, count_in = pooled(scores[into], mask[into], 1, pool)
        second, count_out = pooled(scores[out], mask[out], 2, pool)
        size = (first * second).view(nets, number)
        left = (count_in + count_out > 0).view(nets, number)
        places[into] = ranks(size, left)
        order = torch.arange(number, device=size.device)
        found[into] = -order.float()
        if (size.isnan() & left).any():
            found[into] += torch.nan
        alive[into] = order < left.sum(1).max()

    def spread(keep: Mask) -> Mask:
        result = {name: m.clone() for name, m in mask.items()}
        for into, out in pairwise(stack):
            kept = keep[into][places[into]]
            result[into] &= kept.unsqueeze(2)
            result[out] &= kept.unsqueeze(1)
        return result

    return Units(found, alive, spread)


def pooled(scores: Tensor, mask: Tensor, axis: int, pool: str) -> tuple[Tensor, Tensor]:
    """Return the pooled score and the kept weights of each unit along an axis, net by net."""
    rows, kept = (t.movedim(axis, 1).flatten(0, 1) for t in (scores, mask))
    return units.pool([(torch.arange(len(rows)), rows, kept)], len(rows), pool)


def ranks(scores: Tensor, alive: Tensor) -> Tensor:
    """Return 0 for the best unit of each net, 1 for the next and so on, [nets, units].

    Of equal scores the lower index is better.
    """
    order = scores.masked_fill(~alive, -torch.inf).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1)

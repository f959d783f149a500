import torch
from torch import nn

from lottery.errors import UsageError
from lottery.nets.heads import heads
from lottery.terms import units
from lottery.terms.mask import Mask, Scores
from lottery.terms.prunable import layers
from lottery.terms.task import Task
from lottery.terms.units import Units


def filter(model: nn.Module, task: Task, scores: Scores, mask: Mask, *, pool: str) -> Units:
    """Remove output filters of convolutions and rows of linear layers, each layer alone.

    Li et al. 2017, section 3.1, rank filters by their L1 norm. The weights that read a removed
    filter stay, so its bias and BatchNorm still pass a constant. A layer that makes the scores of
    the classes keeps all its rows.
    """
    every = layers(model)
    if any(every[name].kind.stacked for name in mask):
        raise UsageError(
            "prune: structure filter would take a row of all nets that are stacked; type "
            "prune/structure=unit, or prune/structure=weight"
        )
    axes = units.output_axes(model)
    ends = heads(model, task)
    inner = [name for name in mask if name not in ends]
    if not inner:
        raise UsageError(
            "prune: structure filter leaves the output layer whole, and there is no other layer; "
            "choose prune/structure=weight"
        )
    pooled, alive = {}, {}
    for name in inner:
        rows, kept = (t[name].movedim(axes[name], 0).flatten(1) for t in (scores, mask))
        index = torch.arange(len(rows))
        pooled[name], count = units.pool([(index, rows, kept)], len(rows), pool)
        alive[name] = count > 0

    def spread(chosen: Mask) -> Mask:
        result = dict(mask)
        for name in inner:
            shape = [1] * mask[name].dim()
            shape[axes[name]] = -1
            result[name] = mask[name] & chosen[name].view(shape)
        return result

    return Units(pooled, alive, spread)

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task
from lottery.terms.units import Units, output_axes


def n_m(model: nn.Module, task: Task, scores: Scores, mask: Mask, *, n: int, m: int) -> Units:
    """Keep at most `n` of each `m` consecutive weights along a layer's inputs (Mishra et al. 2021).

    2:4 is what NVIDIA's sparse tensor cores take. The inputs of a convolution are read in the
    order height, width, channel. Inputs left over where their number is no multiple of `m` may all
    stay. Among what may stay, single weights are chosen, so counts are exact; the highest density
    keeps exactly `n` of each `m`.
    """
    if not 1 <= n <= m:
        raise UsageError(
            f"prune.structure: {n} of {m} weights cannot be kept; type "
            "prune.structure.n=2 prune.structure.m=4"
        )
    axes = output_axes(model)
    eligible = {name: best(scores[name], keep, axes[name], n, m) for name, keep in mask.items()}
    return Units(scores, eligible, lambda chosen: chosen, whole=False)


def best(scores: Tensor, keep: Tensor, axis: int, n: int, m: int) -> Tensor:
    """Return which kept weights are among the `n` highest of their group; ties by index."""
    order = [axis, *range(2, keep.dim()), 1 - axis]
    shape = [keep.shape[dim] for dim in order]
    ranked = scores.masked_fill(~keep, -torch.inf).permute(order).flatten(1)
    whole = ranked.shape[1] // m * m
    groups = ranked[:, :whole].reshape(len(ranked) * (whole // m), m)
    places = torch.empty_like(groups, dtype=torch.long)
    ranks = torch.arange(m, device=keep.device).expand_as(places)
    places.scatter_(1, groups.sort(dim=1, descending=True, stable=True).indices, ranks)
    result = torch.ones_like(ranked, dtype=torch.bool)
    result[:, :whole] = (places < n).view(len(ranked), whole)
    back = [order.index(dim) for dim in range(keep.dim())]
    return result.view(shape).permute(back) & keep

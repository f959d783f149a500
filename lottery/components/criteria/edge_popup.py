import math

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.pruning.keep import apportion
from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task
from lottery.training import search

SCOPES = ("layerwise", "globally")


def edge_popup(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    *,
    length: str,
    lr: float,
    momentum: float,
    weight_decay: float,
    scope: str,
) -> Scores:
    """Score a weight by its trained popup score, the weights themselves frozen (edge-popup).

    Ramanujan et al. 2020: every step uses the weights of the highest |s|, as many
    as `density` keeps of each layer (`layerwise`, which allocation=uniform turns into the same
    mask) or of the net (`globally`). s starts as U(-1, 1) / sqrt(fan_in), and its gradient is
    straight-through, times the sign of s as in the authors' code. Returns |s|, 0 where pruned
    before. Differs from their code: counts are exact, the rate falls by the step, not the epoch,
    along a cosine, and BatchNorm keeps its affine parameters, frozen. Raises UsageError for a
    length below one step.
    """
    if scope not in SCOPES:
        raise UsageError(f"prune.criterion.scope: '{scope}' is none of {', '.join(SCOPES)}")
    total = search.steps_in("length", length, task)
    seed = search.seed_of(generator)
    drawn = {name: popup(m.shape, generator) for name, m in mask.items()}
    found = search.begin(
        model, mask, task, drawn, lr=lr, momentum=momentum, weight_decay=weight_decay
    )
    here = {name: m.to(task.device) for name, m in mask.items()}
    counts = counts_of(mask, density, scope)
    search.wear_(found, highest(found.scores, here, counts))
    for step in search.steps(found.model, task, seed, total, found.optimizer, search.kept(found)):
        gradients = search.straight_through(found)
        for name, score in found.scores.items():
            gradients[name].mul_(score.sign())
        search.update_(found, gradients, step, total)
        search.wear_(found, highest(found.scores, here, counts))
    return search.finished({n: s.abs() * here[n] for n, s in found.scores.items()}, mask)


def popup(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw first scores: kaiming_uniform with a = sqrt(5), which is U(-1, 1) / sqrt(fan_in)."""
    return (2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(math.prod(shape[1:]))


def counts_of(mask: Mask, density: float, scope: str) -> dict[str, int] | int:
    """Return how many weights every layer uses, as allocation=uniform has it, or the whole net."""
    number = masks.count(density, mask)
    if scope == "globally":
        return number
    shares = {name: float(m.numel()) for name, m in mask.items()}
    return apportion(shares, {n: int(m.sum()) for n, m in mask.items()}, number)


def highest(scores: Scores, mask: Mask, counts: dict[str, int] | int) -> Mask:
    """Return where |scores| are the highest of what the mask keeps.

    Unlike an allocation it also takes what ties with the last one: this runs before every step.
    """
    sizes = {name: s.abs().masked_fill(~mask[name], -1.0) for name, s in scores.items()}
    if isinstance(counts, int):
        lowest = nth_highest(masks.flatten(sizes, sizes), counts)
        return {name: size >= lowest for name, size in sizes.items()}
    return {name: s >= nth_highest(s.reshape(-1), counts[name]) for name, s in sizes.items()}


def nth_highest(flat: Tensor, number: int) -> Tensor:
    """Return the `number`-th highest value, a scalar; infinity for number 0."""
    if not number:
        return flat.new_full((), math.inf)
    return torch.kthvalue(flat, flat.numel() - number + 1).values

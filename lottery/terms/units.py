"""Choose what is removed together: units, their scores, and the weights that each unit owns."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores
from lottery.terms.prunable import layers
from lottery.wording.settings import choose

POOLS = ("l1", "l2", "mean", "max")
SINGLE = "type prune/structure=weight"


@dataclass(frozen=True)
class Units:
    """The units of a net, in named groups.

    `scores` and `mask` have one entry a unit; `mask` marks those that may be kept. `spread` turns
    a mask of units into one of weights. Where `whole` is false a unit is a single weight. `instead`
    says what to do about a density below all that they reach. `alike` numbers the units of a group
    so that those of one number have as many weights in every layer; without an entry all have.
    """

    scores: Scores
    mask: Mask
    spread: Callable[[Mask], Mask]
    whole: bool = True
    instead: str = SINGLE
    alike: Mapping[str, Tensor] = field(default_factory=dict)


def allocate(
    units: Units, allocation: Callable[[Scores, Mask, float], Mask], density: float, mask: Mask
) -> Mask:
    """Return the mask of weights that is kept when `allocation` chooses among the units.

    Single weights: exactly round(density * total). Whole units: as many units as keep at most
    that, by bisection, the allocation being asked for k of all units. A pruned weight of `mask`
    stays pruned. Raises UsageError for a density that the structure cannot reach.
    """
    wanted = masks.count(density, mask)
    if not units.whole:
        return units.spread(single(units, allocation, density, wanted))

    def spread(number: int) -> Mask:
        share = number / masks.total(units.mask)
        chosen = units.spread(allocation(units.scores, units.mask, share))
        return {name: keep & mask[name] for name, keep in chosen.items()}

    low, high = 1, masks.kept(units.mask)
    if not high:
        raise UsageError(
            "prune: no unit of this structure is left to prune; ask for fewer levels, or type "
            "prune/structure=weight"
        )
    result = spread(high)
    if masks.kept(result) <= wanted:
        return result
    result = spread(low)
    if masks.kept(result) > wanted:
        lowest = masks.kept(result) / masks.total(mask)
        raise UsageError(
            f"prune: density {density:.6g} is below {lowest:.6g}, the lowest that this structure "
            f"reaches; prune less, or {units.instead}"
        )
    while high - low > 1:
        middle = (low + high) // 2
        trial = spread(middle)
        if masks.kept(trial) <= wanted:
            low, result = middle, trial
        else:
            high = middle
    return result


def single(
    units: Units, allocation: Callable[[Scores, Mask, float], Mask], density: float, wanted: int
) -> Mask:
    """Return the allocation's mask of single weights; raise where too few may be kept."""
    most = masks.kept(units.mask)
    if wanted > most:
        raise UsageError(
            f"prune: density {density:.6g} is above {most / masks.total(units.mask):.6g}, the "
            "highest that this structure leaves; type schedule=listed schedule.densities=[...], "
            "none of them above it"
        )
    return allocation(units.scores, units.mask, density)


def pool(
    parts: Iterable[tuple[Tensor, Tensor, Tensor]], size: int, how: str
) -> tuple[Tensor, Tensor]:
    """Return the pooled scores of `size` units and the number of kept weights of each, [size].

    A part is (unit of each row [n], scores [n, weights], kept [n, weights]). Only kept weights
    count; a unit without any scores 0. `l1` is the sum of scores and `l2` the root of the sum of
    their squares: the norms where scores are magnitudes. A score below 0 stays below: it adds
    to l1 and l2 with its sign.
    """
    choose(dict.fromkeys(POOLS), how, "prune.structure.pool")
    parts = list(parts)
    device = parts[0][1].device
    result = torch.zeros(size, dtype=torch.float64, device=device)
    count = torch.zeros(size, dtype=torch.int64, device=device)
    if how == "max":
        result.fill_(-torch.inf)
    for index, scores, kept in parts:
        index = index.to(device)
        count.index_add_(0, index, kept.sum(1))
        if how == "max":
            rows = scores.double().masked_fill(~kept, -torch.inf).amax(1)
            result.scatter_reduce_(0, index, rows, "amax")
            continue
        rows = scores.masked_fill(~kept, 0.0)
        rows = rows.double() * rows.double().abs() if how == "l2" else rows
        result.index_add_(0, index, rows.sum(1, dtype=torch.float64))
    if how == "l2":
        result = result.sign() * result.abs().sqrt()
    elif how == "mean":
        result /= count.clamp(min=1)
    return result.masked_fill(count == 0, 0.0).float(), count


def output_axes(model: nn.Module) -> dict[str, int]:
    """Return the axis of each weight that may be pruned that counts its outputs."""
    return {name: layer.kind.outputs for name, layer in layers(model).items()}

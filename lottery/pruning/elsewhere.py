"""Draw a mask of the same structure at other places: what a structured ticket is held against."""

from collections.abc import Callable

import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.pruning.keep import keep_top
from lottery.terms.mask import Mask, Scores
from lottery.terms.units import Units


def redrawn(
    mask: Mask, units_of: Callable[[Scores, Mask], Units], draw: torch.Generator, who: str
) -> Mask | None:
    """Return a mask that keeps as many units of each layer as `mask`, drawn at random.

    `units_of` gives the units of a mask for some scores. Units that are tied stay so, and only
    such take each other's place as have as many weights in every layer: the density of each layer
    is that of `mask` to the weight. Of n of m, places in every m are drawn, then weights. None
    where any single weight may be a unit. Raises UsageError for a mask of anything but whole units.
    """
    dense = {name: torch.ones_like(keep) for name, keep in mask.items()}
    nothing = {name: torch.zeros(keep.shape) for name, keep in mask.items()}
    units = units_of(nothing, dense)
    if not units.whole:
        if all(bool(free.all()) for free in units.mask.values()):
            return None
        scores = {name: torch.rand(keep.shape, generator=draw) for name, keep in mask.items()}
        free = units_of(scores, dense).mask
        return {n: keep_top({n: scores[n]}, {n: free[n]}, int(k.sum()))[n] for n, k in mask.items()}
    kept = units_of(nothing, mask).mask
    again = units.spread(kept)
    if any(not torch.equal(keep, again[name]) for name, keep in mask.items()):
        raise UsageError(
            f"branch {who}: this mask is not made of whole units of prune.structure, so none of "
            "them can be moved; leave the branch out (branch=[], sanity=false)"
        )
    return units.spread({n: moved(k, units.alike.get(n), draw) for n, k in kept.items()})


def moved(kept: Tensor, alike: Tensor | None, draw: torch.Generator) -> Tensor:
    """Return which units are kept, permuted among those that are alike."""
    kept = kept.cpu()
    result, flat = kept.clone().view(-1), kept.reshape(-1)
    kinds = torch.zeros(len(flat)) if alike is None else alike.reshape(-1).cpu()
    for kind in sorted(set(kinds.tolist())):
        own = torch.nonzero(kinds == kind).squeeze(1)
        result[own] = flat[own[torch.randperm(len(own), generator=draw)]]
    return result.view_as(kept)

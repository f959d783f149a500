import torch

from lottery.errors import UsageError
from lottery.pruning.elsewhere import redrawn
from lottery.terms.mask import Mask, flatten
from lottery.terms.ticket import States, Ticket, ticket_of, unpruned


def shuffle(level: Ticket, states: States, generator: torch.Generator, *, scope: str) -> Ticket:
    """Train the level's weights under its mask with the positions permuted.

    `scope` is layerwise (each layer keeps its density; Frankle et al. 2021, "Missing the Mark")
    or globally. Where whole units are pruned (filters, channels, heads, blocks), whole units are
    permuted among those of their layer. Needs weights that nobody pruned: raises UsageError where
    the rewind keeps the trained ones of a pruned net, of which the positions moved to would be 0.
    """
    if scope not in ("layerwise", "globally"):
        raise UsageError(
            f"branch shuffle: branches.shuffle.scope={scope} is neither layerwise nor globally"
        )
    state = unpruned(states, "shuffle")
    units = redrawn(level.mask, states.units, generator, "shuffle")
    if units and scope == "globally":
        raise UsageError(
            "branch shuffle: whole units are moved within their layer only; type "
            "branches.shuffle.scope=layerwise"
        )
    if units:
        return ticket_of(state, units, level.span)
    groups = [[name] for name in level.mask] if scope == "layerwise" else [list(level.mask)]
    shuffled: Mask = {}
    for names in groups:
        flat = flatten(level.mask, names)
        order = torch.randperm(flat.numel(), generator=generator).to(flat.device)
        pieces = torch.split(flat[order], [level.mask[name].numel() for name in names])
        shuffled |= {n: p.view_as(level.mask[n]) for n, p in zip(names, pieces, strict=True)}
    return ticket_of(state, shuffled, level.span)

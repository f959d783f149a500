from dataclasses import replace

import torch

from lottery.terms.ticket import States, Ticket, ticket_of, unpruned


def shuffle_weights(level: Ticket, states: States, generator: torch.Generator) -> Ticket:
    """Train the level's mask from its rewound weights, permuted inside each pruned matrix.

    The control of Chen et al. 2020 (BERT tickets), section 3: the values of pre-training at other
    places. They are permuted before the mask is put on. Raises UsageError as shuffle does.
    """
    state = unpruned(states, "shuffle_weights")
    moved = dict(state.weights)
    for name in level.mask:
        flat = moved[name].reshape(-1)
        order = torch.randperm(flat.numel(), generator=generator).to(flat.device)
        moved[name] = flat[order].view_as(moved[name])
    return ticket_of(replace(state, weights=moved), level.mask, level.span)

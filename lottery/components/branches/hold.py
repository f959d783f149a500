import torch

from lottery.terms.ticket import States, Ticket, ticket_of, unpruned


def hold(level: Ticket, states: States, generator: torch.Generator) -> Ticket:
    """Train the level's ticket with pruned weights frozen at their rewound value, not at 0.

    Zhou et al. 2019, "Deconstructing Lottery Tickets", section 3: is it the zeros that matter?
    Raises UsageError where there is no such value any more.
    """
    return ticket_of(unpruned(states, "hold"), level.mask, level.span, held=True)

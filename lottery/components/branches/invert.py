import torch

from lottery.terms.ticket import States, Ticket, ticket_of


def invert(level: Ticket, states: States, generator: torch.Generator) -> Ticket:
    """Train the mask that keeps the lowest scores in place of the highest.

    The inversion of Frankle et al. 2021, section 5: a criterion that means something is hurt.
    """
    return ticket_of(states("rewind"), states.inverted(), level.span)

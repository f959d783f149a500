import torch

from lottery.terms.step import Span
from lottery.terms.ticket import States, Ticket, ticket_of


def rewind(level: Ticket, states: States, generator: torch.Generator, *, to: str) -> Ticket:
    """Train the level's mask from another rewind point: weights and schedule of step `to`."""
    state = states(to)
    return ticket_of(state, level.mask, Span(state.step.iteration, states.length.iteration))

import torch

from lottery.terms.step import Span
from lottery.terms.ticket import States, Ticket, ticket_of


def reinit(level: Ticket, states: States, generator: torch.Generator) -> Ticket:
    """Train the level's mask from another draw of the initial weights.

    The control of Frankle & Carbin 2019, section 2: are the weights or the structure the matter?
    """
    return ticket_of(states("fresh"), level.mask, Span(0, states.length.iteration))

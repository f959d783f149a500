import torch

from lottery.terms.step import Step
from lottery.terms.ticket import State, States, Ticket, ticket_of


def signs(level: Ticket, states: States, generator: torch.Generator) -> Ticket:
    """Train from the signs of the level's weights alone, all of a layer's of one magnitude.

    Zhou et al. 2019, "Deconstructing Lottery Tickets", section 4: the magnitude is the standard
    deviation of the layer's initial weights.
    """
    initial = states("0it").weights
    weights = dict(level.weights)
    for name in level.mask:
        weights[name] = level.weights[name].sign() * initial[name].std(correction=0)
    start = Step(level.span.start, states.length.steps_per_epoch)
    return ticket_of(State(start, weights), level.mask, level.span)

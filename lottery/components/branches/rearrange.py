import torch

from lottery.terms.step import Step
from lottery.terms.ticket import State, States, Ticket, ticket_of


def rearrange(level: Ticket, states: States, generator: torch.Generator) -> Ticket:
    """Train the level's weights moved, mask and all, to other positions of their layer.

    The rearranged nets of Frankle & Carbin 2018 (v1): the same values, other connections.
    """
    weights, mask = dict(level.weights), {}
    for name, keep in level.mask.items():
        order = torch.randperm(keep.numel(), generator=generator)
        mask[name] = keep.reshape(-1)[order].view_as(keep)
        weights[name] = level.weights[name].reshape(-1)[order].view_as(keep)
    start = Step(level.span.start, states.length.steps_per_epoch)
    return ticket_of(State(start, weights), mask, level.span)

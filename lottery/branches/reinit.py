import torch

from lottery.mask import Mask
from lottery.parts import State, States, Ticket
from lottery.step import Span


def reinit(level: Ticket, states: States, generator: torch.Generator) -> tuple[State, Mask, Span]:
    """Train the level's mask from another draw of the initial weights.

    The control of Frankle & Carbin 2019, section 2: are the weights or the structure the matter?
    """
    return states("fresh"), level.mask, Span(0, states.length.iteration)

from dataclasses import replace

import torch

from lottery.parts import States, Ticket
from lottery.step import Span


def longer(level: Ticket, states: States, generator: torch.Generator, *, steps: str) -> Ticket:
    """Train the level's ticket for more `steps`, at the last learning rate."""
    span = Span(level.span.start, level.span.stop + states.step(steps).iteration)
    return replace(level, span=span)

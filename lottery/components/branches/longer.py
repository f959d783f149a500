from dataclasses import replace

import torch

from lottery.errors import UsageError
from lottery.terms.step import Span
from lottery.terms.ticket import States, Ticket


def longer(level: Ticket, states: States, generator: torch.Generator, *, steps: str) -> Ticket:
    """Train the level's ticket for more `steps`, at the last learning rate.

    Raises UsageError for no steps.
    """
    if states.step(steps).iteration < 1:
        raise UsageError(f"branch longer: steps={steps} is no longer; write 5ep or 500it")
    span = Span(level.span.start, level.span.stop + states.step(steps).iteration)
    return replace(level, span=span)

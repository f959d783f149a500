from dataclasses import replace

import torch

from lottery.errors import UsageError
from lottery.terms.ticket import States, Ticket


def reorder(level: Ticket, states: States, generator: torch.Generator, *, order: int) -> Ticket:
    """Train the level's ticket on another order of the data, and other augmentation.

    Raises UsageError for order 0, which is the level's own.
    """
    if order < 1:
        raise UsageError(
            f"branch reorder: order {order} is the level's own; type branches.reorder.order=1"
        )
    return replace(level, order=order)

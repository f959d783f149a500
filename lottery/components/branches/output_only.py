from dataclasses import replace

import torch

from lottery.terms import frozen
from lottery.terms.ticket import States, Ticket


def output_only(level: Ticket, states: States, generator: torch.Generator) -> Ticket:
    """Train only the output layer, on the features of a net as it begins.

    A control of Frankle et al. 2021, "Training BatchNorm and Only BatchNorm". Raises UsageError
    where the output layer cannot be told.
    """
    trained = frozen.outputs(states, "output_only")
    return replace(level, frozen=frozen.all_but(level.weights, trained))

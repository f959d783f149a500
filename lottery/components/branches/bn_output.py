from dataclasses import replace

import torch

from lottery.terms import frozen
from lottery.terms.ticket import States, Ticket


def bn_output(level: Ticket, states: States, generator: torch.Generator) -> Ticket:
    """Train only BatchNorm's scales and shifts and the output layer.

    A control of Frankle et al. 2021, "Training BatchNorm and Only BatchNorm". Raises UsageError for
    a net without BatchNorm, and where its output layer cannot be told.
    """
    norms = frozen.norms(level.weights, "bn_output")
    trained = norms | frozen.outputs(states, "bn_output")
    return replace(level, frozen=frozen.all_but(level.weights, trained))

from dataclasses import replace

import torch

from lottery.terms import frozen
from lottery.terms.ticket import States, Ticket


def bn_only(level: Ticket, states: States, generator: torch.Generator) -> Ticket:
    """Train only the scales and shifts of BatchNorm, every other parameter as it is.

    Frankle et al. 2021, "Training BatchNorm and Only BatchNorm"; of a pruned level, in a pruned
    net. Raises UsageError for a net that has none.
    """
    trained = frozen.norms(level.weights, "bn_only")
    return replace(level, frozen=frozen.all_but(level.weights, trained))

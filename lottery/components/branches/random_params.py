from dataclasses import replace

import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.terms import frozen
from lottery.terms.mask import Mask
from lottery.terms.ticket import States, Ticket


def random_params(
    level: Ticket, states: States, generator: torch.Generator, *, per_feature: int, output: bool
) -> Ticket:
    """Train only `per_feature` random weights of each feature: two are as many as BatchNorm has.

    Frankle et al. 2021, "Training BatchNorm and Only BatchNorm": of each output of a layer that may
    be pruned, among those that the level keeps, all of them where there are fewer. All else stays
    as it is, BatchNorm too; with `output` the output layer is trained as well. The ticket's mask
    says what is trained, and what it does not keep is held at its value. Raises UsageError for
    none a feature, and where the output layer cannot be told.
    """
    if per_feature < 1:
        raise UsageError(
            f"branch random_params: branches.random_params.per_feature={per_feature} trains "
            "nothing; type branches.random_params.per_feature=2"
        )
    ends = frozen.outputs(states, "random_params")
    chosen: Mask = {}
    for name, keep in level.mask.items():
        if name in ends:
            chosen[name] = keep if output else torch.zeros_like(keep)
        else:
            chosen[name] = drawn(keep, per_feature, generator)
    trained = {*chosen, *(ends if output else ())}
    left = frozen.all_but(level.weights, trained)
    return replace(level, mask=chosen, frozen=left, held=True)


def drawn(keep: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return a mask of so many entries of each row, drawn among those that are kept."""
    rows = keep.reshape(len(keep), -1)
    lots = torch.rand(rows.shape, generator=generator).masked_fill(~rows, -1)
    first = lots.topk(min(number, rows.shape[1]), dim=1).indices
    return (torch.zeros_like(rows).scatter_(1, first, True) & rows).view_as(keep)

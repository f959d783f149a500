from typing import Unpack

import torch
from torch import nn

from lottery.pruning import scoring as look
from lottery.pruning.scoring import Scoring
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task


def taylor(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    **scoring: Unpack[Scoring],
) -> Scores:
    """Score a weight by (g w)^2, the squared change of the loss without it, to first order.

    Molchanov et al. 2019, eq. 8, averaged over the batches; a batch counts by its examples.
    """
    with look.probing(model, mask, task, generator, **scoring) as probe:
        every = range(len(probe.batches))
        squares = ({n: g**2 for n, g in look.gradients(probe, i).items()} for i in every)
        means = look.weighted(probe, squares)
        return look.narrow({name: w**2 * means[name] for name, w in probe.held.items()})

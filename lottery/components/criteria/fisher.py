from dataclasses import replace
from typing import Unpack

import torch
from torch import nn

from lottery.errors import UsageError
from lottery.pruning import scoring as look
from lottery.pruning.scoring import Scoring
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task


def fisher(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    **scoring: Unpack[Scoring],
) -> Scores:
    """Score a weight by w^2 / 2 times the mean square of its gradient over single examples.

    Theis et al. 2018, eq. 8: the loss that its removal costs, the diagonal of the empirical
    Fisher information standing for that of the Hessian. One backward pass an example, which
    holds for any net in the memory of one gradient. Raises UsageError for mode train, in which
    BatchNorm leaves no example a gradient of its own.
    """
    if scoring["mode"] != "eval":
        raise UsageError(
            "prune.criterion.mode: fisher takes the gradient of each example by itself, which "
            "BatchNorm does not allow in training mode; type prune.criterion.mode=eval"
        )
    with look.probing(model, mask, task, generator, **scoring) as probe:
        single = [
            task.cut(batch, i, i + 1) for batch in probe.batches for i in range(task.count(batch))
        ]
        probe = replace(probe, batches=single, shares=[1 / len(single)] * len(single))
        every = range(len(single))
        squares = ({n: g**2 for n, g in look.gradients(probe, i).items()} for i in every)
        means = look.weighted(probe, squares)
        return look.narrow({name: w**2 * means[name] / 2 for name, w in probe.held.items()})

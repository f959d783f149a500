from typing import Unpack

import torch
from torch import nn

from lottery.pruning import scoring as look
from lottery.pruning.scoring import Scoring
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task


def snip(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    *,
    per_batch_abs: bool,
    reinit: str,
    **scoring: Unpack[Scoring],
) -> Scores:
    """Score a weight by |w dL/dw|, what the loss feels of its mask (Lee et al. 2019, eq. 5).

    L is the mean training loss of the examples. The authors divide by the sum of all scores,
    which changes no order. The gradient is taken at the masked weights and w is the one that the
    net holds: in rounds this is iterative SNIP, and where weights may come back FORCE
    (de Jorge et al. 2021, eq. 6 and 7). `per_batch_abs` sums the batches' absolute values, as
    the code of Frankle et al. 2021 does. `reinit` scores weights drawn anew: see scoring.redraw_.
    """
    with look.probing(model, mask, task, generator, reinit=reinit, **scoring) as probe:
        if per_batch_abs:
            every = range(len(probe.batches))
            sizes = ({n: g.abs() for n, g in look.gradients(probe, i).items()} for i in every)
            slopes = look.weighted(probe, sizes)
        else:
            slopes = look.mean_gradients(probe)
        return look.narrow({n: (w * slopes[n]).abs() for n, w in probe.held.items()})

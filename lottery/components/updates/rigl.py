from typing import Unpack

from torch import nn

from lottery.pruning.regrow import Exchange, exchange, share_at
from lottery.terms.mask import Mask
from lottery.terms.step import Step


def rigl(
    mask: Mask,
    weights: dict[str, nn.Parameter],
    step: Step,
    total: Step,
    seed: int,
    **options: Unpack[Exchange],
) -> Mask | None:
    """Drop the smallest weights of each layer and grow those of the largest gradient.

    Evci et al. 2020, "Rigging the Lottery", algorithm 1: at steps divisible by `every`, up to
    `until`; the share that moves falls from `fraction` with a cosine to 0 (anneal=cosine) or stays
    (constant). The gradient is that of this step's batch; a weight that grows starts at 0.
    """
    share = share_at(step, total, options)
    if share is None:
        return None
    growth = {n: w.grad.abs() for n, w in weights.items() if w.grad is not None and n in mask}
    return exchange(mask, weights, growth, share)

from typing import Unpack

import torch
from torch import nn

from lottery.pruning.regrow import Exchange, exchange, share_at
from lottery.terms import seeds
from lottery.terms.mask import Mask
from lottery.terms.step import Step


def set(
    mask: Mask,
    weights: dict[str, nn.Parameter],
    step: Step,
    total: Step,
    seed: int,
    **options: Unpack[Exchange],
) -> Mask | None:
    """Drop the smallest weights of each layer and grow others at random.

    Mocanu et al. 2018 (SET), in the form of Evci et al. 2020: the smallest by magnitude, where
    Mocanu's code takes the smallest positive and the largest negative ones apart, and new weights
    start at 0.
    """
    share = share_at(step, total, options)
    if share is None:
        return None
    draw = seeds.generator(seed, "update", step.iteration)
    growth = {n: torch.rand(m.shape, generator=draw).to(m.device) for n, m in mask.items()}
    return exchange(mask, weights, growth, share)

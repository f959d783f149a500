import torch
from torch import nn

from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task


def random(
    model: nn.Module, mask: Mask, task: Task, generator: torch.Generator, density: float
) -> Scores:
    """Score every weight by a uniform draw, which keeps each layer's density equal on average.

    The draws are the same at every level of a replicate, so masks of falling density are nested.
    """
    return {n: torch.rand(m.shape, generator=generator).to(m.device) for n, m in mask.items()}

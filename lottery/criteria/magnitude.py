import torch
from torch import nn

from lottery.mask import Mask, Scores
from lottery.task import Task


def magnitude(
    model: nn.Module, mask: Mask, task: Task, generator: torch.Generator, density: float
) -> Scores:
    """Score a weight by its absolute value (Han et al. 2015; Frankle & Carbin 2019)."""
    weights = dict(model.named_parameters())
    return {name: weights[name].detach().abs().float() for name in mask}

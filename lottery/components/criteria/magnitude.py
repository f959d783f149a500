import torch
from torch import nn

from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task


def magnitude(
    model: nn.Module, mask: Mask, task: Task, generator: torch.Generator, density: float
) -> Scores:
    """Score a weight by its absolute value (Han et al. 2015; Frankle & Carbin 2019).

    float64 stays, since narrowed to float32 two unlike weights would tie; half floats are widened.
    """
    sizes = {name: model.get_parameter(name).detach().abs() for name in mask}
    return {n: s if s.dtype == torch.float64 else s.float() for n, s in sizes.items()}

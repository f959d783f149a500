import torch
from torch import nn

from lottery.training.momentum import SGD


def sgd(
    parameters: list[nn.Parameter],
    *,
    lr: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """Descend the gradient with momentum; decay is added to the gradient."""
    return SGD(
        parameters,
        lr=lr,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        fused=True,
    )

import torch

from lottery.terms.parts import Named
from lottery.training.groups import Groups, in_groups
from lottery.training.momentum import SGD


def sgd(
    parameters: Named,
    *,
    lr: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    groups: Groups | None = None,
) -> torch.optim.Optimizer:
    """Descend the gradient with momentum; decay is added to the gradient."""
    return in_groups(
        SGD,
        parameters,
        groups,
        lr=lr,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        fused=True,
    )

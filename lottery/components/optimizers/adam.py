import torch
from torch import nn


def adam(
    parameters: list[nn.Parameter],
    *,
    lr: float,
    betas: list[float],
    eps: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """Scale each gradient by its running moments (Kingma & Ba 2015); decay joins the gradient."""
    return torch.optim.Adam(
        parameters,
        lr=lr,
        betas=(betas[0], betas[1]),
        eps=eps,
        weight_decay=weight_decay,
        fused=True,
    )

import torch
from torch import nn


def adamw(
    parameters: list[nn.Parameter],
    *,
    lr: float,
    betas: list[float],
    eps: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """Run Adam with the weight decay apart from the gradient (Loshchilov & Hutter 2019)."""
    return torch.optim.AdamW(
        parameters,
        lr=lr,
        betas=(betas[0], betas[1]),
        eps=eps,
        weight_decay=weight_decay,
        fused=True,
    )

import torch

from lottery.terms.parts import Named
from lottery.training.groups import Groups, in_groups


def adamw(
    parameters: Named,
    *,
    lr: float,
    betas: list[float],
    eps: float,
    weight_decay: float,
    groups: Groups | None = None,
) -> torch.optim.Optimizer:
    """Run Adam with the weight decay apart from the gradient (Loshchilov & Hutter 2019)."""
    return in_groups(
        torch.optim.AdamW,
        parameters,
        groups,
        lr=lr,
        betas=(betas[0], betas[1]),
        eps=eps,
        weight_decay=weight_decay,
        fused=True,
    )

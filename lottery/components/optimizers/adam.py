import torch

from lottery.terms.parts import Named
from lottery.training.groups import Groups, in_groups


def adam(
    parameters: Named,
    *,
    lr: float,
    betas: list[float],
    eps: float,
    weight_decay: float,
    groups: Groups | None = None,
) -> torch.optim.Optimizer:
    """Scale each gradient by its running moments (Kingma & Ba 2015); decay joins the gradient."""
    return in_groups(
        torch.optim.Adam,
        parameters,
        groups,
        lr=lr,
        betas=(betas[0], betas[1]),
        eps=eps,
        weight_decay=weight_decay,
        fused=True,
    )

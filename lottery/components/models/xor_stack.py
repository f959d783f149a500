"""Build many nets of one hidden layer side by side."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from lottery.nets.initializers import initialize
from lottery.terms.stacked import Stacked
from lottery.wording.settings import at_least


def xor_stack(task: Any, *, units: int, init: str) -> nn.Module:
    """Return as many nets as the task asks for, each with one hidden layer of so many ReLUs."""
    at_least(1, units=units)
    model = XorStack(task.nets, task.features, units)
    initialize(model, init, bn_scale="ones")
    return model


class XorStack(nn.Module):
    """Nets of one hidden layer and one score; [B, features] becomes [B, nets]."""

    def __init__(self, nets: int, features: int, units: int) -> None:
        super().__init__()
        self.nets = nets
        self.hidden = Stacked(nets, features, units)
        self.fc = Stacked(nets, units, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.expand(self.nets, *x.shape)
        return self.fc(F.relu(self.hidden(x))).squeeze(2).t()  # type: ignore[no-any-return]

"""Hold many small nets in one module, trained side by side; none knows of another."""

import torch
from torch import Tensor, nn


class Stacked(nn.Module):
    """A linear layer of each of many nets: weight [nets, outputs, inputs], bias [nets, outputs]."""

    def __init__(self, nets: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(nets, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(nets, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return [nets, B, outputs] for the inputs of each net, [nets, B, inputs]."""
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.transpose(1, 2))

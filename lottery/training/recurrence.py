"""Let a signal of 0 and 1 through recurrent layers, step by step."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}  # matrices in a weight, by function


class Level(torch.autograd.Function):
    """Set what is above 0 to 1 and the rest to 0, in the signal and in its gradient."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor) -> Tensor:
        return (signal > 0).to(signal.dtype)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        return (gradient[0] > 0).to(gradient[0].dtype)


level: Callable[[Tensor], Tensor] = Level.apply


def recurrent(
    name: str, given: Tensor, begin: Tensor | Sequence[Tensor], weights: Sequence[Tensor],
    biases: bool, layers: int, dropout: float, training: bool, both_ways: bool, batch_first: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Return what torch's function of that name does, where there is a signal, without biases.

    A unit has a signal once any of its gates has one; LSTM and GRU keep it from then on. Without a
    batch axis, too.
    """
    kept = name in ("lstm", "gru")
    flat = given.dim() == 2
    x = given.unsqueeze(1) if flat else given.transpose(0, 1) if batch_first else given
    starts = begin if isinstance(begin, Tensor) else begin[0]
    each = len(weights) // (layers * (2 if both_ways else 1))
    ends: list[Tensor] = []
    cells = []
    for _ in range(layers):
        sides = []
        for way in range(2 if both_ways else 1):
            place = len(ends)
            own = weights[place * each : (place + 1) * each]
            out = own[2 + 2 * biases] if each > 2 + 2 * biases else None
            h = starts[place].view(x.shape[1], -1)
            seen = gate(x, own[0], GATES[name])
            cell = torch.zeros_like(seen[0])
            steps = []
            for t in range(len(x) - 1, -1, -1) if way else range(len(x)):
                cell = level(seen[t] + gate(h, own[1], GATES[name]) + (cell if kept else 0))
                h = cell if out is None else level(F.linear(cell, out))
                steps.append(h)
            ends.append(h)
            cells.append(cell)
            sides.append(torch.stack(steps[::-1] if way else steps))
        x = torch.cat(sides, -1)
    found = x.squeeze(1) if flat else x.transpose(0, 1) if batch_first else x
    last, kept_last = (torch.stack(t).squeeze(1) if flat else torch.stack(t) for t in (ends, cells))
    return (found, last, kept_last) if name == "lstm" else (found, last)


def gate(x: Tensor, weight: Tensor, gates: int) -> Tensor:
    """Return how many signals reach each unit's gates through a weight [gates * units, inputs]."""
    seen = level(F.linear(x, weight))
    return seen.view(*seen.shape[:-1], gates, -1).sum(-2)

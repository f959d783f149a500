"""Count what one forward pass takes: multiply-accumulates a layer, values that move."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry

from lottery.machine.kernels import plain
from lottery.nets.graph import evaluating
from lottery.nets.products import Products
from lottery.terms.prunable import layers
from lottery.terms.task import Task, made_up
from lottery.terms.trees import tensors


@dataclass(frozen=True)
class Forward:
    """The forward pass of one example through a dense net."""

    layers: dict[str, float]  # multiply-accumulates, by the weights that may be pruned
    rest: float  # multiply-accumulates of what uses none of those weights, as in attention
    values: float  # of the input, and of what is computed with those weights
    parameters: int

    @property
    def macs(self) -> float:
        """All multiply-accumulates."""
        return sum(self.layers.values()) + self.rest


def forward(model: nn.Module, task: Task) -> Forward:
    """Count one forward pass of one example in evaluation mode, by torch's formulas.

    They know matrix products, convolutions and attention; what works element by element
    (BatchNorm, activations, pooling) counts as nothing. A weight counts as often as it is used,
    whoever does so: called twice, transposed, or by the net's code without its layer. What is
    computed with a weight that the net's code has changed counts in `rest`.
    """
    counts = Counts({name: layer.weight for name, layer in layers(model).items()})
    given = made_up(task, 1, next(model.parameters()).device)
    with evaluating(model), plain(model), torch.enable_grad(), counts:
        model(*given)
    parameters = sum(p.numel() for p in model.parameters())
    values = sum(t.numel() for t in tensors(given)) + counts.values
    return Forward(counts.layers, counts.rest, values, parameters)


def unknown(model: nn.Module) -> Forward:
    """Return what stands for a pass that cannot be counted: NaN for all but the parameters."""
    parameters = sum(p.numel() for p in model.parameters())
    return Forward(dict.fromkeys(layers(model), math.nan), math.nan, math.nan, parameters)


class Counts(Products):  # type: ignore[no-untyped-call]
    """Count the multiply-accumulates of each weight, and of what uses none."""

    def __init__(self, weights: dict[str, nn.Parameter]) -> None:
        super().__init__(weights)
        self.layers: dict[str, float] = dict.fromkeys(weights, 0)
        self.rest = self.values = 0

    def seen(self, func: Any, args: tuple[Any, ...], made: Any, weight: str | None) -> None:
        if func not in flop_registry:
            return
        macs = flop_registry[func](*args, out_val=made) // 2
        if weight is None:
            self.rest += macs
        else:
            self.layers[weight] += macs
            self.values += sum(m.numel() for m in [made] if isinstance(m, Tensor))

"""Count what one forward pass takes: multiply-accumulates a layer, values that move."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lottery import mask as masks
from lottery.nets.graph import evaluating
from lottery.task import Task


@dataclass(frozen=True)
class Forward:
    """The forward pass of one example through a dense net."""

    layers: dict[str, int]  # multiply-accumulates, by the weights of `mask.prunable`
    rest: int  # multiply-accumulates outside of those layers, as in attention
    values: int  # of the input, and of the outputs of those layers
    parameters: int

    @property
    def macs(self) -> int:
        """All multiply-accumulates."""
        return sum(self.layers.values()) + self.rest


def forward(model: nn.Module, task: Task) -> Forward:
    """Count one forward pass of one example in evaluation mode, by torch's flop counter.

    It knows matrix products, convolutions and attention; what works element by element
    (BatchNorm, activations, pooling) counts as nothing. A layer that is called twice counts twice,
    one whose weight the net's code uses without calling it counts in `rest`.
    """
    names = {id(weight): name for name, weight in masks.prunable(model).items()}
    layers = dict.fromkeys(names.values(), 0)
    counter = FlopCounterMode(display=False)
    before: dict[nn.Module, int] = {}
    values = 0

    def begin(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        before[layer] = counter.get_total_flops()

    def end(name: str, layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        nonlocal values
        layers[name] += (counter.get_total_flops() - before.pop(layer)) // 2
        values += made.numel()

    hooks = []
    for layer in model.modules():
        if isinstance(layer, masks.PRUNABLE):
            hooks.append(layer.register_forward_pre_hook(begin))
            hooks.append(layer.register_forward_hook(partial(end, names[id(layer.weight)])))
    example = torch.zeros(1, *task.input_shape, device=next(model.parameters()).device)
    try:
        # With gradients, and attention as plain products: torch's counter knows no fused ones.
        with evaluating(model), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    rest = counter.get_total_flops() // 2 - sum(layers.values())
    parameters = sum(p.numel() for p in model.parameters())
    return Forward(layers, rest, example.numel() + values, parameters)

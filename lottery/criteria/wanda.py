import copy
from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from lottery import scoring as look
from lottery.mask import PRUNABLE, Mask, Scores
from lottery.scoring import Examples
from lottery.task import Task

Layers = dict[str, list[tuple[nn.Module, nn.Module]]]


def wanda(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    **examples: Unpack[Examples],
) -> Scores:
    """Score a weight by |w| ||x||_2, x all that it is multiplied by on the examples.

    Sun et al. 2024, eq. 1, for linear layers. In a convolution x is what the weight meets at
    every position: a norm for each input channel and place in the kernel. They compare the
    scores within a row of a layer; here the allocation decides, and `uniform` is the nearest.
    """
    with look.probing(model, mask, task, generator, temperature=1.0, **examples) as probe:
        squares = {name: torch.zeros_like(w) for name, w in probe.held.items()}
        for name, pairs in twins(probe.net, probe.weights).items():
            for layer, other in pairs:
                layer.register_forward_pre_hook(watch(other, squares[name]))
        with torch.no_grad():
            for index in range(len(probe.batches)):
                look.loss(probe, index)
        return look.narrow({name: w.abs() * squares[name].sqrt() for name, w in probe.held.items()})


def twins(net: nn.Module, weights: dict[str, Tensor]) -> Layers:
    """Return by weight the layers that have it, each with a copy of itself without hooks."""
    names = {id(w): name for name, w in weights.items()}
    found: Layers = {name: [] for name in weights}
    for layer in net.modules():
        if isinstance(layer, PRUNABLE) and id(layer.weight) in names:
            found[names[id(layer.weight)]].append((layer, copy.deepcopy(layer)))
    return found


def watch(twin: nn.Module, squares: Tensor) -> Callable[[nn.Module, Any], None]:
    """Return a hook that does so at every call of a layer.

    A layer is linear in its weight, so for squared inputs the derivative of its summed outputs
    by the weight is that sum, whatever the stride, padding, dilation and groups.
    """
    return partial(add_squares, twin, squares)


def add_squares(twin: nn.Module, squares: Tensor, layer: nn.Module, inputs: Any) -> None:
    """Add to `squares` the sum of squares of what each weight meets, in place."""
    with torch.enable_grad():
        outputs = twin(inputs[0].detach() ** 2)
        squares += torch.autograd.grad(outputs.sum(), [twin.get_parameter("weight")])[0]

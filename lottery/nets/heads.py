"""Find the layers that make the scores of the classes, wherever they are defined."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lottery.machine.kernels import plain
from lottery.nets.graph import evaluating
from lottery.nets.products import Products
from lottery.terms.copying import copied
from lottery.terms.prunable import Layer, layers
from lottery.terms.task import Task, made_up
from lottery.terms.trees import first

EXAMPLES = 4  # made up, on which the net is looked at
Heads = Mapping[str, frozenset[int]]  # names of tensors, and the axes that count classes


def heads(model: nn.Module, task: Task) -> set[str]:
    """Return the weights of the layers whose outputs are scores: each class has some for itself.

    By derivatives, on a copy of random weights: no output of a head moves the scores of two
    classes apart from one another. Where none is found (a softmax that ends the net ties all
    classes) or there are none (a forward that keeps no graph in evaluation, or one that only takes
    whole backward passes) it is the last layer used that has as many outputs as there are classes.
    """
    net = copied(model)
    every = {name: layer for name, layer in layers(net).items() if not layer.kind.asked}
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in every.values():
            size = layer.weight.requires_grad_(True).shape
            scale = (2 * size[layer.kind.outputs] / size.numel()) ** 0.5
            layer.weight.copy_(torch.randn(size, generator=draw) * scale)
    used = Used({name: layer.weight for name, layer in every.items()})
    given = made_up(task, EXAMPLES, next(net.parameters()).device)
    with evaluating(net), plain(net), torch.enable_grad():
        with used:
            scores = first(net(*given))
        found: set[str] = set()
        if not isinstance(scores, Tensor) or scores.dim() < 2:
            return found
        with contextlib.suppress(RuntimeError):
            found = apart(scores, every) if scores.requires_grad else found
    ends = [
        n for n in used.order if every[n].weight.shape[every[n].kind.outputs] == scores.shape[-1]
    ]
    return found or set(ends[-1:])


class Used(Products):  # type: ignore[no-untyped-call]
    """Note in which order weights are used; one that is used again comes last."""

    def __init__(self, weights: dict[str, nn.Parameter]) -> None:
        super().__init__(weights)
        self.order: list[str] = []

    def seen(self, func: Any, args: tuple[Any, ...], made: Any, weight: str | None) -> None:
        if weight is not None:
            self.order = [name for name in self.order if name != weight] + [weight]


def apart(scores: Tensor, every: dict[str, Layer]) -> set[str]:
    """Return the layers of which no output moves both of two classes, or of two pairs of them.

    A difference of two scores knows nothing of what a log-softmax takes off all of them.
    """
    columns = scores.flatten(0, -2).sum(0)
    if len(columns) < 2:
        return set()
    pair = len(columns) > 3
    one = columns[0] - columns[1] if pair else columns[0]
    two = columns[2] - columns[3] if pair else columns[1]
    weights = [layer.weight for layer in every.values()]
    moved = []
    for side in (one, two):
        slopes = torch.autograd.grad(
            side, weights, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        moved.append([
            slope.movedim(layer.kind.outputs, 0).flatten(1).ne(0).any(1)
            for slope, layer in zip(slopes, every.values(), strict=True)
        ])  # fmt: skip
    return {
        name
        for name, a, b in zip(every, *moved, strict=True)
        if bool(a.any()) and bool(b.any()) and not bool((a & b).any())
    }


class Wider:
    """A task with more classes than it has."""

    def __init__(self, task: Task, outputs: int) -> None:
        self.task, self.outputs = task, outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)


def heads_of(make: Callable[[Any], nn.Module], task: Task) -> Heads | None:
    """Return what of a model grows with the number of classes, and along which axes.

    Wherever its layer stands in the code, tied or not. None for a model that cannot be made for
    other numbers, and where a task counts no classes.
    """
    outputs = getattr(task, "outputs", None)
    if outputs is None:
        return None
    own = make(task).state_dict()
    try:
        other = make(Wider(task, 2 * outputs)).state_dict()
    except Exception:  # noqa: BLE001 (the model's own code, asked for what it need not do)
        return None
    return {
        name: frozenset(
            axis for axis, size in enumerate(t.shape) if size != other[name].shape[axis]
        )
        for name, t in own.items()
        if name in other and t.dim() == other[name].dim() and t.shape != other[name].shape
    } or None

"""Find which units of one net are those of another: by activations, or by weights."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lottery.errors import UsageError
from lottery.nets.graph import Graph, evaluating, trace
from lottery.nets.labels import CONVOLVE, UnfollowedError
from lottery.nets.permutations import Group, groups, own_tensors, permute_, permuted
from lottery.terms.copying import copied
from lottery.terms.task import Task, made_up
from lottery.terms.trees import tensors
from lottery.terms.units import output_axes

NOISE, CLOSE = 4, 1e-3  # made-up examples, on which a net that was reordered wrong would show
LEAVE = "leave it out (branch=[])"


def units(net: nn.Module, task: Task, who: str) -> tuple[Graph, list[Group]]:
    """Return a net's graph and its groups of units, each tried: the net reordered is the same.

    Raises UsageError, in the name of `who`, for a net without groups, or that cannot be followed.
    """
    try:
        graph = trace(net, task)
    except UnfollowedError as error:
        raise UsageError(f"{who}: the units of this net cannot be followed; {LEAVE}") from error
    found = groups(net, graph)
    if not found:
        raise UsageError(
            f"{who}: this net has no hidden units that could change places; {LEAVE}, or type "
            "model=lenet_300_100"
        )
    given, other = made_up(task, NOISE, next(net.parameters()).device), copied(net)
    permute_(other, found, [torch.arange(len(group.channels)).flip(0) for group in found])
    with evaluating(net), evaluating(other), torch.no_grad():
        before, after = ([*tensors(each(*given))] for each in (net, other))
    if not all(
        torch.allclose(a, b, rtol=CLOSE, atol=CLOSE, equal_nan=True)
        for a, b in zip(before, after, strict=True)
    ):
        raise UsageError(
            f"{who}: with its units in another order this net computes something else; {LEAVE}"
        )
    return graph, found


class Reading(TorchFunctionMode):
    """Keep what every layer reads, by the name of its weight: [channels, examples * pixels]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.names = {id(parameter): name for name, parameter in net.named_parameters()}
        self.read: dict[str, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ == "linear" or func.__name__ in CONVOLVE:
            given = dict(zip(("input", "weight"), args)) | kwargs
            if (name := self.names.get(id(given["weight"]))) is not None:
                axis = -1 if func.__name__ == "linear" else 1
                self.read[name] = given["input"].detach().movedim(axis, 0).flatten(1)
        return func(*args, **kwargs)


def by_activations(
    a: nn.Module, b: nn.Module, which: Sequence[Group], inputs: Iterable[tuple[Any, ...]]
) -> list[Tensor]:
    """Return of each group which unit of `a` is which of `b`, [n]: the closest activations.

    P = argmax <P, Z_B Z_A^T> (Ainsworth et al. 2023, eq. 1), Z what the layers behind a group read
    of its units, of all examples and pixels: of all of them together, where a residual sum ties
    layers. The sum of squares between the two nets is then the least there is.
    """
    into = {name: 1 - axis for name, axis in output_axes(a).items()}
    shared = [torch.zeros(len(g.channels), len(g.channels), dtype=torch.float64) for g in which]
    with torch.no_grad(), evaluating(a), evaluating(b):
        for given in inputs:
            seen = []
            for net in (a, b):
                with Reading(net) as reading:
                    net(*given)
                seen.append(reading.read)
            for group, total in zip(which, shared, strict=True):
                for (name, axis), at in group.places.items():
                    if axis == into.get(name) and name in seen[0]:
                        one, other = (unit_rows(z[name], at) for z in seen)
                        total += other @ one.T
    return [assigned(total) for total in shared]


def unit_rows(read: Tensor, at: Tensor) -> Tensor:
    """Return what a layer has read of each unit, [n, numbers]."""
    return read.cpu().double()[at].flatten(1)


def by_weights(
    a: nn.Module, b: nn.Module, which: Sequence[Group], generator: torch.Generator
) -> list[Tensor]:
    """Return of each group which unit of `a` is which of `b`, [n]: the closest weights.

    Ainsworth et al. 2023, algorithm 1: a group after the other, in random order, is given the best
    assignment while the others stay, until none is better by more than rounding. Begins as they
    are.
    """
    one, other = ({n: t.double().cpu() for n, t in own_tensors(net).items()} for net in (a, b))
    orders = [torch.arange(len(group.channels)) for group in which]
    weights = {name for name, _ in a.named_parameters()}

    def alike() -> float:
        moved = permuted(one, which, orders)
        return sum(float((other[name] * moved[name]).sum()) for name in weights)

    best, changed = alike(), True
    while changed:
        changed = False
        for number in torch.randperm(len(which), generator=generator).tolist():
            group, before = which[number], orders[number]
            total = torch.zeros(len(before), len(before), dtype=torch.float64)
            for (name, axis), at in group.places.items():
                if name in weights:
                    moved = permuted(one, which, orders, but=(name, axis))[name]
                    here, there = (t.movedim(axis, 0)[at].flatten(1) for t in (moved, other[name]))
                    total += there @ here.T
            orders[number] = assigned(total)
            if (now := alike()) > best + 1e-9 * abs(best):
                best, changed = now, True
            else:
                orders[number] = before
    return orders


def assigned(alike: Tensor) -> Tensor:
    """Return the column of each row, no two the same, whose entries have the largest sum, [n].

    Raises UsageError for numbers that are not finite.
    """
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # slow to load

    if not alike.isfinite().all():
        raise UsageError(
            "branch rebasin: the dense nets give numbers that are not finite, so their units "
            f"cannot be matched; lower train.optimizer.lr, or {LEAVE}"
        )
    return torch.from_numpy(linear_sum_assignment(alike.numpy(), maximize=True)[1])

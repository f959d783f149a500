"""Reorder the units of a net: every tensor that makes or reads them, so that it stays the same."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lottery.nets.graph import Graph
from lottery.terms.units import output_axes

Axis = tuple[str, int]  # name of a tensor, axis


@dataclass(frozen=True)
class Group:
    """Units that may change places with each other, [n] channels of a graph.

    `places` says of each axis on which they lie at which indices, [n, indices of a unit]: one of
    each for a layer's outputs, as many as a map has pixels for a linear layer behind it. Layers
    tied by a residual sum have one group.
    """

    channels: Tensor
    places: dict[Axis, Tensor]


def axes(model: nn.Module, graph: Graph) -> Iterator[tuple[Axis, Tensor]]:
    """Yield the axes of a net's parameters and buffers that channels lie on, with the channels."""
    out, buffers = output_axes(model), dict(model.named_buffers())
    for name, channels in graph.outputs.items():
        yield (name, out[name]), channels
    for name, channels in graph.inputs.items():
        yield (name, 1 - out[name]), channels
    for name, channels in graph.biases.items():
        yield (name, 0), channels
    for norm, channels in graph.norms.items():
        for leaf in ("running_mean", "running_var"):
            if (name := f"{norm}.{leaf}".lstrip(".")) in buffers:
                yield (name, 0), channels


def groups(model: nn.Module, graph: Graph) -> list[Group]:
    """Return the groups of two or more units that may change places; [] where there is none.

    Two channels may where they lie on the same axes, equally often on each. Inputs and outputs of
    the net stay where they are, and so do channels whose place the net's code relies on (padding,
    splits, what LayerNorm or attention mixes).
    """
    every = dict(axes(model, graph))
    movable = torch.zeros(graph.size, dtype=torch.bool)
    for channels in graph.outputs.values():
        movable[channels] = True
    movable &= ~(graph.fixed | graph.held)
    units = torch.nonzero(movable).squeeze(1)
    often = [torch.bincount(channels, minlength=graph.size)[units] for channels in every.values()]
    if not len(units):
        return []
    _, kind = torch.stack(often, 1).unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
    found = [units[kind == number] for number in kind.unique()]
    return [
        Group(own, {axis: at for axis, c in every.items() if (at := places(own, c)).numel()})
        for own in sorted(found, key=lambda own: int(own[0]))
        if len(own) > 1
    ]


def places(units: Tensor, channels: Tensor) -> Tensor:
    """Return where each of the units lies on an axis with these channels, [n, times], in order."""
    rank = torch.full((int(max(units.max(), channels.max())) + 1,), -1)
    rank[units] = torch.arange(len(units))
    order = rank[channels].argsort(stable=True)
    return order[rank[channels][order] >= 0].view(len(units), -1)


def permuted(
    tensors: Mapping[str, Tensor],
    which: Sequence[Group],
    orders: Sequence[Tensor],
    but: Axis = ("", 0),
) -> dict[str, Tensor]:
    """Return a net's tensors with unit `order[i]` of each group at the place of its unit i.

    Weights, masks, or both; a name that is not there is passed over, and so is the axis `but`.
    """
    result = dict(tensors)
    for group, order in zip(which, orders, strict=True):
        for (name, axis), at in group.places.items():
            if name in result and (name, axis) != but:
                index = torch.arange(result[name].shape[axis])
                index[at] = at[order]
                result[name] = result[name].index_select(axis, index.to(result[name].device))
    return result


def own_tensors(net: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of a net, each under its first name."""
    return {n: t.detach() for n, t in (*net.named_parameters(), *net.named_buffers())}


def permute_(net: nn.Module, which: Sequence[Group], orders: Sequence[Tensor]) -> None:
    """Reorder the units of a net, in place: it computes the same function."""
    own = own_tensors(net)
    with torch.no_grad():
        for name, tensor in permuted(own, which, orders).items():
            own[name].copy_(tensor)

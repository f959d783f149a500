"""Make units of channels: what all layers that produce or read a channel have of it."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.nets.graph import Graph
from lottery.terms.mask import Mask, Scores
from lottery.terms.units import Units, output_axes

Part = tuple[Tensor, Tensor, Tensor]


def free(graph: Graph, mask: Mask) -> Tensor:
    """Return which channels may be removed, [size]: every layer of theirs is in `mask`.

    The inputs and outputs of the net may not, nor what a layer left out of pruning makes or reads.
    """
    result = torch.zeros(graph.size, dtype=torch.bool)
    for channels in graph.outputs.values():
        result[channels] = True
    result &= ~graph.fixed
    for side in (graph.outputs, graph.inputs):
        for name, channels in side.items():
            if name not in mask:
                result[channels] = False
    return result


def writers(graph: Graph, model: nn.Module, scores: Scores, mask: Mask) -> Iterator[Part]:
    """Yield (channel of each row, scores, kept) of the weights that produce channels."""
    axes = output_axes(model)
    for name, channels in graph.outputs.items():
        if name in mask:
            yield channels, rows(scores[name], axes[name]), rows(mask[name], axes[name])


def readers(graph: Graph, model: nn.Module, scores: Scores, mask: Mask) -> Iterator[Part]:
    """Yield (channel of each row, scores, kept) of the weights that read channels."""
    axes = output_axes(model)
    for name, channels in graph.inputs.items():
        if name in mask:
            yield channels, rows(scores[name], 1 - axes[name]), rows(mask[name], 1 - axes[name])


def rows(values: Tensor, axis: int) -> Tensor:
    """Return a weight's entries as a matrix whose rows are the indices of one axis."""
    return values.movedim(axis, 0).flatten(1)


def tied(
    graph: Graph, model: nn.Module, removable: Tensor, scores: Tensor, alive: Tensor, mask: Mask
) -> Units:
    """Return the units of the `removable` channels, grouped by the first layer that makes them.

    `scores` and `alive` have one entry a channel, [size]. A unit owns the filters that make its
    channel and the slices that read it, so without it the channel has no effect on any output.
    Raises UsageError where there is none.
    """
    groups: dict[str, Tensor] = {}
    waiting = removable.clone()
    for name, channels in graph.outputs.items():
        own = [c for c in dict.fromkeys(channels.tolist()) if waiting[c]]
        if own:
            groups[name] = torch.tensor(own)
            waiting[own] = False
    if not groups:
        raise UsageError(
            "prune: this net has no unit that this structure may remove, without its inputs, its "
            "outputs and the layers of prune.exclude; choose prune/structure=filter or weight"
        )
    axes = output_axes(model)

    def spread(chosen: Mask) -> Mask:
        stays = torch.ones(graph.size, dtype=torch.bool)
        for name, own in groups.items():
            stays[own] = chosen[name].cpu()
        return {name: cut(keep, stays, name, graph, axes[name]) for name, keep in mask.items()}

    return Units(
        {name: scores[own.to(scores.device)] for name, own in groups.items()},
        {name: alive[own.to(alive.device)] for name, own in groups.items()},
        spread,
        alike={name: kinds(graph, own) for name, own in groups.items()},
    )


def kinds(graph: Graph, units: Tensor) -> Tensor:
    """Return a number for each of some channels, the same where they lie equally on all axes."""
    sides = (graph.outputs, graph.inputs)
    often = [torch.bincount(c, minlength=graph.size)[units] for s in sides for c in s.values()]
    every: tuple[Tensor, Tensor] = torch.stack(often, 1).unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
    return every[1]


def cut(keep: Tensor, stays: Tensor, name: str, graph: Graph, axis: int) -> Tensor:
    """Return a weight's mask without the channels that do not stay."""
    result = keep.clone()
    for side, along in ((graph.outputs, axis), (graph.inputs, 1 - axis)):
        if name in side:
            gone = torch.nonzero(~stays[side[name]]).squeeze(1)
            result.index_fill_(along, gone.to(keep.device), False)
    return result

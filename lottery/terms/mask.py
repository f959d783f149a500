"""Hold what is kept and what is pruned: masks, exact counts, ties by index.

A mask maps the name of each prunable parameter to a bool tensor of its shape, True = kept.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.terms.prunable import Layer, layers

Mask = dict[str, Tensor]
Scores = dict[str, Tensor]


def prunable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights that are pruned unless something is asked, by name, in the model's order.

    Those of convolutions, linear and recurrent layers and attention: the table of `prunable`.
    """
    return {name: own.weight for name, own in layers(model).items() if not own.asked}


def names(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return all names of each parameter by its first, which is the one that a mask has.

    A tensor has several where weights are tied, or a module is registered twice; they are those
    of the state_dict.
    """
    found: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        found.setdefault(id(parameter), []).append(name)
    return {every[0]: tuple(every) for every in found.values()}


def tied(model: nn.Module) -> dict[str, list[str]]:
    """Return the other names of each parameter that has several, by its first."""
    return {first: list(every[1:]) for first, every in names(model).items() if every[1:]}


def everywhere(of: Mapping[str, Tensor], names: Mapping[str, Iterable[str]]) -> dict[str, Tensor]:
    """Return what is known of parameters by their first names, by all of their names, as copies."""
    found = dict(of)
    for first, every in names.items():
        if first in of:
            found |= {name: of[first].clone() for name in every if name != first}
    return found


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Say whether a parameter's name, or that of its layer, fits one of the patterns."""
    return any(fnmatchcase(each, p) for p in patterns for each in (name, name.rpartition(".")[0]))


def fits(layer: Layer, patterns: Iterable[str]) -> bool:
    """Say whether a pattern fits one of the names of a parameter or of its modules."""
    return any(fnmatchcase(name, p) for p in patterns for name in layer.names)


def some(names: Iterable[str]) -> str:
    """Return a few layers' names for an error: the first ones and the last."""
    bare = [name.removesuffix(".weight") for name in names]
    listed = bare if len(bare) <= 6 else [*bare[:4], "...", bare[-1]]
    return f" (the layers: {', '.join(listed)})"


def dense(model: nn.Module, include: Iterable[str] = ("*",), exclude: Iterable[str] = ()) -> Mask:
    """Return the mask that keeps every weight of the layers picked by name pattern.

    Embeddings, and what the model leaves out, are picked by patterns of `include` that fit nothing
    else. Raises UsageError where a
    pattern fits no layer, or no layer is left.
    """
    every = layers(model)
    plain = {name for name, layer in every.items() if not layer.asked}
    picked: set[str] = set()
    for pattern in include:
        fitting = {name for name, layer in every.items() if fits(layer, [pattern])}
        picked |= fitting & plain or (fitting if pattern != "*" else set())
    for pattern in (*include, *exclude):
        if every and not any(fits(layer, [pattern]) for layer in every.values()):
            raise UsageError(f"prune: no prunable layer fits the pattern '{pattern}'{some(every)}")
    if not plain and not picked:
        raise UsageError(
            "prune: this model has nothing to prune: no weight of a convolution, of a linear or "
            "recurrent layer, or of attention; choose another model"
        )
    mask = {
        name: torch.ones_like(layer.weight, dtype=torch.bool)
        for name, layer in every.items()
        if name in picked and not fits(layer, exclude)
    }
    if not mask:
        raise UsageError(
            "prune: include and exclude leave no layer to prune; type prune.exclude=[]"
        )
    return mask


def total(mask: Mask) -> int:
    """Return the number of prunable weights."""
    return sum(m.numel() for m in mask.values())


def kept(mask: Mask) -> int:
    """Return the number of weights kept."""
    return sum(int(m.count_nonzero()) for m in mask.values())


def count(density: float, mask: Mask) -> int:
    """Return how many weights a density keeps: round(density * total), halves to even."""
    return round(density * total(mask))


@torch.no_grad()
def apply_(model: nn.Module, mask: Mask) -> None:
    """Set the pruned weights of `model` to +0.0, in place."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, keep in mask.items():
        parameters[name].masked_fill_(~keep.to(parameters[name].device), 0.0)


def check(before: Mask, after: Mask, expected: int | None = None) -> None:
    """Raise AssertionError unless `after` keeps `expected` weights, none pruned in `before`."""
    revived = sum(int((after[name] > before[name]).count_nonzero()) for name in before)
    if revived:
        raise AssertionError(f"pruning revived {revived} weights")
    if before.keys() != after.keys():
        raise AssertionError("pruning changed the set of layers")
    if expected is not None and kept(after) != expected:
        raise AssertionError(f"pruning kept {kept(after)} weights, {expected} were asked")


def check_zero(weights: Mapping[str, Tensor], mask: Mask) -> None:
    """Raise AssertionError unless every pruned weight is +0.0 to the bit."""
    for name, keep in mask.items():
        pruned = weights[name].detach().masked_fill(keep.to(weights[name].device), 0.0)
        if pruned.any() or torch.signbit(pruned).any():
            raise AssertionError(f"pruned weights of {name} are not 0.0: the optimizer moved them")


def flatten(tensors: Mapping[str, Tensor], names: Iterable[str]) -> Tensor:
    """Return the tensors of `names` end to end, in that order, [sum of sizes]."""
    return torch.cat([tensors[name].reshape(-1) for name in names])


def pack(mask: Mask) -> dict[str, Tensor]:
    """Return each mask as uint8, eight entries a byte, the first in the highest bit."""
    return {n: torch.from_numpy(np.packbits(m.cpu().numpy().reshape(-1))) for n, m in mask.items()}


def unpack(packed: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> Mask:
    """Undo `pack`; `shapes` gives the shape of each parameter. Raises ValueError for others."""
    result = {}
    for name, bits in packed.items():
        if bits.dtype != torch.uint8 or bits.numel() != (shapes[name].numel() + 7) // 8:
            raise ValueError(f"{name} has {bits.numel()} bytes of bits, for another shape")
        flat = np.unpackbits(bits.numpy(), count=shapes[name].numel()).astype(bool)
        result[name] = torch.from_numpy(flat).view(shapes[name])
    return result

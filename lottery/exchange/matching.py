"""Match the parameters of a net from elsewhere with those of a model of ours."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.terms import mask as masks
from lottery.terms.mask import Mask
from lottery.terms.trees import form
from lottery.wording.text import printable, some

COUNTER = "num_batches_tracked"  # of BatchNorm; older files lack it, and few nets use it


def matched(
    found: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    ordered: bool,
    head: str = "import: it does not fit this model",
) -> dict[str, str]:
    """Return own name -> name there: by equal names, else by kinds and shapes.

    A kind is the last part of a name: weight, bias, running_mean. Where `ordered` says that both
    stand in the order of their nets, kinds and shapes have to be the same one by one; else no two
    may be alike. The counters of BatchNorm follow their layers, where the file has them. Raises
    UsageError, which starts with `head`, for what does not fit where neither is so, and where the
    file has a tensor that fits by its name, and another would take its place.
    """
    pairs = paired(found, own, ordered, head)
    there = [
        name for name in pairs if name in found and alike((name, found[name]), (name, own[name]))
    ]
    if swapped := next((name for name in there if pairs[name] != name), ""):
        raise UsageError(
            f"{head}: by order and shape {printable(pairs[swapped])} would become "
            f"{printable(swapped)}, and the file has a {printable(swapped)} of its own; give every "
            "tensor there the model's name, or none"
        )
    return pairs | counters(pairs, found, own)


def counters(
    pairs: Mapping[str, str], found: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, str]:
    """Return own name -> name there of the counters of BatchNorm that the file has."""
    layers = {name.rpartition(".")[0]: there.rpartition(".")[0] for name, there in pairs.items()}
    result = {}
    for name in [name for name in own if name.endswith(COUNTER)]:
        there = f"{layers.get(name.rpartition('.')[0], '')}.{COUNTER}".lstrip(".")
        if there in found and found[there].shape == own[name].shape:
            result[name] = there
    return result


def paired(
    found: Mapping[str, Tensor], own: Mapping[str, Tensor], ordered: bool, head: str
) -> dict[str, str]:
    """Return what `matched` does, without counters, and whatever the names say."""
    wanted = {name: t for name, t in own.items() if not name.endswith(COUNTER)}
    there = {name: t for name, t in found.items() if not name.endswith(COUNTER)}
    if wanted.keys() == there.keys() and all(there[n].shape == t.shape for n, t in wanted.items()):
        return {name: name for name in wanted}
    mine, theirs = by_layer(wanted), by_layer(there)
    if ordered and len(mine) == len(theirs) and all(map(alike, mine.items(), theirs.items())):
        pairs = dict(zip(mine, theirs, strict=True))
        return {name: pairs[name] for name in wanted}
    one, other = ({sort(*each): each[0] for each in side.items()} for side in (wanted, there))
    if not ordered and one.keys() == other.keys() and len(one) == len(wanted) == len(there):
        return {name: other[of] for of, name in one.items()}
    why = "" if ordered else " (a safetensors file does not keep the order of a net)"
    raise UsageError(f"{head}: {apart(there, wanted)}{why}")


def by_order_alone(names: Mapping[str, str], found: Mapping[str, Tensor]) -> str:
    """Say which layers nothing but their order tells apart, of `matched` ones; "" for none.

    Those have other names there and weights of one kind and shape, with other values.
    """
    groups: dict[tuple[str, torch.Size], list[str]] = {}
    for name, there in names.items():
        if name != there and found[there].dim() > 1:
            groups.setdefault(sort(there, found[there]), []).append(name)
    unsure = [
        name
        for group in groups.values()
        if any(not torch.equal(found[names[group[0]]], found[names[name]]) for name in group)
        for name in group
    ]
    if not unsure:
        return ""
    return (
        f"nothing but their order tells {some(unsure)} apart, which are alike in kind and shape; "
        "if they stand in another order there, each has the weights of another"
    )


def sort(name: str, tensor: Tensor) -> tuple[str, torch.Size]:
    """Return kind and shape of a parameter."""
    return name.rpartition(".")[2], tensor.shape


def alike(one: tuple[str, Tensor], other: tuple[str, Tensor]) -> bool:
    """Say whether two parameters are of one kind and one shape."""
    return sort(*one) == sort(*other)


def apart(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Say what does not fit, by names where they are mostly shared, else by order."""
    shared = found.keys() & own.keys()
    if 2 * len(shared) > len(own):
        parts = [f"{n} is {form(found[n])} there, {form(own[n])} here"
                 for n in own if n in shared and found[n].shape != own[n].shape][:1]  # fmt: skip
        lacking, extra = [n for n in own if n not in found], [n for n in found if n not in own]
        parts += [f"it lacks {some(lacking)}"] * bool(lacking)
        parts += [f"the model has no {some(extra)}"] * bool(extra)
        return "; ".join(parts)
    for (name, tensor), (mine, wanted) in zip(by_layer(found).items(), by_layer(own).items()):
        if not alike((name, tensor), (mine, wanted)):
            return (
                f"in order, {printable(name)} ({form(tensor)}) stands where the model has {mine} "
                f"({form(wanted)})"
            )
    return f"it has {len(found)} tensors, the model {len(own)}"


def by_layer(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in the order of their layers; of one layer the weight, then by name.

    torch.nn.utils.prune puts a weight that it prunes behind the bias of its layer.
    """
    parts = {name: name.rpartition(".")[::2] for name in tensors}
    place = {
        layer: number for number, layer in enumerate(dict.fromkeys(p[0] for p in parts.values()))
    }

    def order(name: str) -> tuple[int, bool, str]:
        layer, kind = parts[name]
        return place[layer], kind != "weight", kind

    return {name: tensors[name] for name in sorted(tensors, key=order)}


def binary(raw: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Mask:
    """Return masks as bool; raises UsageError unless they hold 0 and 1 in their weight's shape.

    A mask of what is no weight of a layer may keep everything only, and is left out.
    """
    result: Mask = {}
    for name, values in raw.items():
        shown = printable(name)
        if name not in weights:
            raise UsageError(f"import: a mask of {shown}, and no weights of that name")
        if values.shape != weights[name].shape:
            raise UsageError(
                f"import: the mask of {shown} is {form(values)}, its weight {form(weights[name])}"
            )
        keep = values == 1
        if not bool((keep | (values == 0)).all()):
            raise UsageError(f"import: the mask of {shown} holds other numbers than 0 and 1")
        result[name] = keep
    for name in [n for n, keep in result.items() if keep.dim() < 2]:
        if not bool(result.pop(name).all()):
            raise UsageError(
                f"import: the mask of {printable(name)} prunes what is no weight of a layer; only "
                "weights of convolutions and linear layers are pruned here"
            )
    return result


def zeros_of(weights: Mapping[str, Tensor]) -> Mask:
    """Return the masks that take every 0 of a weight of two axes or more as pruned."""
    return {name: w != 0 for name, w in weights.items() if w.dim() > 1 and w.is_floating_point()}


def prunable(mask: Mask, names: Mapping[str, str], dense: Mask) -> Mask:
    """Return the masks, by the names there, of what a model can prune: `dense` has its layers."""
    return {there: mask[there] for name, there in names.items() if name in dense and there in mask}


def emptied(weights: Mapping[str, Tensor], mask: Mask) -> tuple[dict[str, Tensor], int]:
    """Return the weights with the pruned ones 0.0, and how many of those were not."""
    result, count = dict(weights), 0
    for name, keep in mask.items():
        count += int(torch.count_nonzero(weights[name].masked_fill(keep, 0)))
        result[name] = weights[name].masked_fill(~keep, 0.0)
    return result, count


def renamed(
    weights: Mapping[str, Tensor], mask: Mask, names: Mapping[str, str], own: Mapping[str, Tensor],
    dense: Mask, tied: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[dict[str, Tensor], Mask]:  # fmt: skip
    """Return weights and mask by the names of a model, in its order and types.

    `dense` has the layers that it can prune; one without a mask keeps everything. `tied` has all
    names of each of its parameters. Raises UsageError for a mask of any other that prunes, and for
    two values of one tensor.
    """
    taken = {
        name: weights[names[name]].to(t.dtype) if name in names else t for name, t in own.items()
    }
    back = {there: name for name, there in names.items()}
    refuse_split(taken, tied, "import")
    given = joined({back[name]: keep for name, keep in mask.items()}, tied)
    if odd := [n for n, keep in given.items() if n not in dense and not bool(keep.all())]:
        raise UsageError(
            f"import: this model has no weights to prune in {some(names[n] for n in odd)}"
        )
    return taken, {name: given.get(name, keep) for name, keep in dense.items()}


def refuse_split(
    weights: Mapping[str, Tensor], names: Mapping[str, Sequence[str]], head: str
) -> None:
    """Raise UsageError where one tensor of a model would have two values; `names` are its names."""
    for first, *others in names.values():
        for name in others:
            if first in weights and name in weights and not alike_to_the_bit(
                weights[first], weights[name]
            ):  # fmt: skip
                raise UsageError(
                    f"{head}: {printable(first)} and {printable(name)} are one tensor in this "
                    "model, and two there, of other values or masks"
                )


def alike_to_the_bit(one: Tensor, other: Tensor) -> bool:
    """Say whether two tensors hold the same numbers."""
    return one.shape == other.shape and torch.equal(one, other)


def joined(mask: Mapping[str, Tensor], names: Mapping[str, Sequence[str]]) -> Mask:
    """Return masks by the first of all names of each parameter; one by several names is cut by all.

    Those of other names stay as they are.
    """
    first = {name: each[0] for each in names.values() for name in each}
    result: Mask = {}
    for name, keep in mask.items():
        own = first.get(name, name)
        result[own] = result[own] & keep if own in result else keep
    return result


def in_words(names: Mapping[str, str]) -> str:
    """Say how the names of a file were matched with the model's."""
    other = [f"{there.rpartition('.')[0]} is {name.rpartition('.')[0]}"
             for name, there in names.items() if name != there]  # fmt: skip
    layers = list(dict.fromkeys(other))
    return f"matched by shape: {some(layers)}" if layers else "matched by name"


def check_layers(mask: Mask) -> None:
    """Raise UsageError where there is no mask, or one that keeps nothing."""
    if not mask:
        raise UsageError(
            "import: it has no mask; give masks=FILE, or masks=zeros to take every 0 of a weight "
            "as pruned"
        )
    if not masks.kept(mask):
        raise UsageError("import: its mask keeps nothing")

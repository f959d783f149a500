"""Cut what a mask removed whole out of a net: a smaller dense net that computes the same."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from lottery.errors import UsageError
from lottery.nets import attention_heads
from lottery.nets.channels import cut
from lottery.nets.counting import forward
from lottery.nets.graph import Graph, evaluating, trace
from lottery.nets.labels import UnfollowedError
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.copying import copied
from lottery.terms.mask import Mask
from lottery.terms.task import Task, made_up
from lottery.terms.task_checks import examples
from lottery.terms.trees import first, tensors
from lottery.terms.units import output_axes
from lottery.wording.text import first_line

EXAMPLES = 100  # whose outputs are compared
NOISE, CLOSE = 4, 1e-3  # made-up examples, on which a net that was cut wrong would show


def compact(model: nn.Module, mask: Mask, task: Task) -> nn.Module:
    """Return a smaller copy of `model` with the same outputs in evaluation mode.

    A channel is cut off where every weight that reads it is pruned, or is itself cut off; whatever
    the channel carries then reaches no output. So masks of structure channel and neuron shrink to
    what they keep. A filter that is pruned alone stays: its bias and BatchNorm pass a constant. So
    do channels whose number the net's code relies on (padding, splits), and one channel of a layer
    that would lose all. Raises UsageError for pruned weights that are not 0, and for a net whose
    channels cannot be followed.
    """
    weights = dict(model.named_parameters())
    for name, keep in mask.items():
        if weights[name].detach().masked_fill(keep.to(weights[name].device), 0.0).any():
            raise UsageError(
                f"compact: pruned weights of {name} are not 0, so they cannot be cut; the branch "
                "hold keeps them on purpose"
            )
    heads = without_heads(model, mask)
    try:
        net = trace(model, task)
    except UnfollowedError as error:
        if not heads:
            raise UsageError(
                f"compact: {error.why}, so none can be cut off; type as=folder or as=onnx for "
                "lottery export, which write the net whole"
            ) from error
        tensors = heads
    else:
        tensors = sliced(model, net, remaining(net, model, mask), heads)
    result = copied(model)
    shrink_(result, tensors)
    check_same(model, result, task)
    return result


def check_same(model: nn.Module, small: nn.Module, task: Task) -> None:
    """Raise UsageError unless two nets give the same outputs, to rounding, for noise."""
    given = made_up(task, NOISE, next(model.parameters()).device)
    try:
        with evaluating(model), evaluating(small), torch.no_grad():
            before, after = ([*tensors(net(*given))] for net in (model, small))
        same = len(before) == len(after) and all(
            torch.allclose(a, b, rtol=CLOSE, atol=CLOSE, equal_nan=True)
            for a, b in zip(before, after, strict=True)
        )
    except (RuntimeError, ValueError, IndexError) as error:
        raise UsageError(
            "compact: this net's code relies on its numbers of channels "
            f"({first_line(error)}), so none can be cut off"
        ) from error
    if not same:
        raise UsageError(
            "compact: without the channels that the mask removed whole this net's outputs are "
            "others: it uses them in a way that could not be followed"
        )


def remaining(net: Graph, model: nn.Module, mask: Mask) -> Tensor:
    """Return the channels that have to stay, [size]."""
    axes, parameters = output_axes(model), dict(model.named_parameters())
    read = torch.zeros(net.size, dtype=torch.bool)
    for channels in net.inputs.values():
        read[channels] = True
    stays = net.fixed | net.held | ~read
    full = {n: mask.get(n, torch.ones_like(parameters[n], dtype=torch.bool)) for n in net.inputs}
    fewer = torch.ones(net.size, dtype=torch.bool)
    while True:
        used = stays.clone()
        for name, channels in net.inputs.items():
            live = cut(full[name], fewer, name, net, axes[name])
            used[channels[live.movedim(1 - axes[name], 0).flatten(1).any(1).cpu()]] = True
        if torch.equal(used, fewer):
            break
        fewer = used
    for side in (net.outputs, net.inputs, net.biases, net.norms):
        for channels in side.values():
            if not fewer[channels].any():
                fewer[channels[0]] = True
    return fewer


def without_heads(model: nn.Module, mask: Mask) -> dict[str, Tensor]:
    """Return the parameters of attention that lose heads, by name, without them."""
    result: dict[str, Tensor] = {}
    for heads in attention_heads.found(model):
        stays = attention_heads.remaining(heads, mask)
        if not stays.all():
            attention_heads.take(heads, stays, result, model.state_dict())
    return result


def sliced(
    model: nn.Module, net: Graph, stays: Tensor, done: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return the parameters and buffers that lose channels, by name, without them.

    `done` has those that have lost something already.
    """
    axes, state = output_axes(model), model.state_dict()
    result = dict(done)

    def take(name: str, axis: int, channels: Tensor) -> None:
        tensor = result.get(name, state.get(name))
        if tensor is not None and not stays[channels].all():
            index = torch.nonzero(stays[channels]).squeeze(1).to(tensor.device)
            result[name] = tensor.index_select(axis, index).clone()

    for name, channels in net.outputs.items():
        take(name, axes[name], channels)
    for name, channels in net.biases.items():
        take(name, 0, channels)
    for name, channels in net.inputs.items():
        take(name, 1 - axes[name], channels)
    for name, channels in net.norms.items():
        for leaf in ("running_mean", "running_var"):
            take(f"{name}.{leaf}".lstrip("."), 0, channels)
    return result


def shrink_(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give a net parameters and buffers of other sizes, in place, and tell its layers.

    With all tensors of a compacted net this makes a new net of the model into that net.
    """
    heads = attention_heads.found(model)
    tied = {name: every for every in masks.names(model).values() for name in every}
    made: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        for alias in tied.get(name, (name,)):
            path, _, leaf = alias.rpartition(".")
            module = model.get_submodule(path)
            old = getattr(module, leaf)
            if isinstance(old, nn.Parameter):
                first = tied[name][0]
                made.setdefault(first, nn.Parameter(tensor, old.requires_grad))
                setattr(module, leaf, made[first])
            else:
                setattr(module, leaf, tensor)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.out_features, module.in_features = module.weight.shape
        elif isinstance(module, _BatchNorm):
            held = module.weight if module.affine else module.running_mean
            module.num_features = module.num_features if held is None else len(held)
        elif isinstance(module, _ConvNd):
            resize_(module)
    attention_heads.tell_(model, heads)


def resize_(layer: _ConvNd) -> None:
    """Set a convolution's numbers of channels and groups from its weight, in place."""
    first, second = layer.weight.shape[:2]
    if layer.transposed:
        layer.in_channels, layer.out_channels = first, second * layer.groups
    elif layer.groups > 1 and layer.groups == layer.in_channels:
        layer.groups = first * layer.in_channels // layer.out_channels
        layer.in_channels, layer.out_channels = layer.groups, first
    else:
        layer.in_channels, layer.out_channels = second * layer.groups, first


def macs(model: nn.Module, task: Task) -> dict[str, float]:
    """Return the multiply-accumulates of one example, by the weights that may be pruned."""
    return forward(model, task).layers


def compare(model: nn.Module, small: nn.Module, task: Task) -> dict[str, Any]:
    """Return the shapes of each layer in both nets, their sizes, and how far their outputs are."""
    batches = examples(task, seeds.generator(0, "compact"), size=EXAMPLES)
    model.eval()
    small.eval()
    with torch.no_grad():
        given = [task.inputs(batch) for batch in batches]
        outputs = [(first(model(*inputs)), first(small(*inputs))) for inputs in given]
    kept = dict(small.named_parameters())
    layers = {
        name.removesuffix(".weight"): {"before": list(old.shape), "weight": list(kept[name].shape)}
        for name, old in masks.prunable(model).items()
    }
    return {
        "layers": layers,
        "parameters": [sum(p.numel() for p in net.parameters()) for net in (model, small)],
        "macs": [sum(macs(net, task).values()) for net in (model, small)],
        "difference": max(float((a - b).abs().max()) for a, b in outputs),
        "largest_output": max(float(a.abs().max()) for a, _ in outputs),
    }

"""Watch what pruning leaves of the layers: effective weights, dead outputs, collapse, movement."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lottery.config import blame
from lottery.errors import UsageError
from lottery.terms.copying import copied
from lottery.terms.mask import Mask
from lottery.terms.prunable import Layer, layers
from lottery.terms.task import Task, ones
from lottery.terms.trees import first
from lottery.training.recurrence import GATES, level, recurrent

Report = dict[str, dict[str, float]]


def layer_report(
    model: nn.Module,
    task: Task,
    mask: Mask,
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    warn: Callable[[str], None] = print,
) -> Report:
    """Return what became of each layer of the mask, in its order.

    kept, total; effective: kept weights on a path from an input to an output; outputs and
    dead_outputs: units without an effective weight; collapsed: whether no weight is effective.
    Between `before` and `after`, the weights at the start and the end of training, and over kept
    weights: sign_changes (a share), moved (L2 distance), moved_relative (to the L2 norm before).
    NaN where there is nothing to divide by, and for effective and dead_outputs where the
    architecture hides its paths (see `effective`) or does not take the passes that look for them,
    which `warn` is told. Costs one or two passes of one example.
    """
    found: dict[str, Tensor | None] = dict.fromkeys(mask)
    try:
        found = effective(model, task, mask)
    except Exception as error:  # noqa: BLE001 (a trained level is worth more than what is seen of it)
        why = blame.reason(error)
        warn(f"effective weights are not known: this net cannot be followed ({why})")
    own = layers(model)
    return {
        name: flow(own[name], keep.cpu(), found[name]) | movement(keep, before[name], after[name])
        for name, keep in mask.items()
    }


def flow(layer: Layer, keep: Tensor, live: Tensor | None) -> dict[str, float]:
    """Return how much of a layer is kept, and how much of that is effective."""
    kept, outputs = int(keep.count_nonzero()), len(rows(layer, keep))
    count, dead = math.nan, math.nan
    if live is not None:
        count = int(live.count_nonzero())
        dead = outputs - int(rows(layer, live).any(1).count_nonzero())
    return {
        "kept": kept,
        "total": keep.numel(),
        "effective": count,
        "dead_outputs": dead,
        "outputs": outputs,
        "collapsed": not kept or count == 0,
    }


def movement(keep: Tensor, before: Tensor, after: Tensor) -> dict[str, float]:
    """Return how far the kept weights of a layer went."""
    old, new = (w.detach().to(keep.device)[keep].double() for w in (before, after))
    start, moved = float(old.norm()), float((new - old).norm())
    changed = int((old.sign() != new.sign()).count_nonzero())
    return {
        "sign_changes": changed / len(old) if len(old) else math.nan,
        "moved": moved,
        "moved_relative": moved / start if start else math.nan,
    }


def collapse(report: Report) -> list[str]:
    """Return the names of the layers that pass nothing on."""
    return [name for name, layer in report.items() if layer["collapsed"]]


def effective(model: nn.Module, task: Task, mask: Mask) -> dict[str, Tensor | None]:
    """Return which kept weights lie on a path from an input to an output, on the CPU.

    A path leads through kept weights only, and through pixels: a weight that sees nothing but
    padding is on none. None stands for a layer whose paths cannot be told, since some output of it
    is cut from some input even with all weights kept (a net that subtracts, or branches on values).
    Sources inside the net, such as biases, count as no input; layers outside the mask are dense.
    """
    found = traced(model, task, mask)
    if all(torch.equal(live, mask[name].cpu()) for name, live in found.items()):
        return dict(found)
    whole = traced(model, task, {n: torch.ones_like(m) for n, m in mask.items()})
    known = {n: bool(live.reshape(*live.shape[:2], -1).any(2).all()) for n, live in whole.items()}
    return {name: live if known[name] else None for name, live in found.items()}


def traced(model: nn.Module, task: Task, mask: Mask) -> dict[str, Tensor]:
    """Return where a signal flows through a kept weight both from the inputs and to the outputs.

    On a copy, in float64 on the CPU: an input of ones goes through weights of 0 and 1, and the sum
    of the outputs back. After each product whatever is above 0 is set to 1, both ways, so that
    depth neither overflows nor underflows; there are no negative terms that could cancel.
    """
    net = copied(model).to(device="cpu", dtype=torch.float64)
    net.eval()
    weights = dict(net.named_parameters())
    with torch.no_grad():
        for name, parameter in weights.items():
            parameter.fill_(0.0 if name.rpartition(".")[2].endswith("bias") else 1.0)
            parameter.requires_grad_(name in mask)
            if name in mask:
                parameter.copy_(mask[name])
    signal = ones(task, net, torch.float64, torch.device("cpu"))
    with torch.enable_grad(), Open():
        total = first(net(*signal)).sum()
    if not total.requires_grad:
        raise UsageError("a signal passes by all that its mask has")
    picked = [weights[name] for name in mask]
    slopes = torch.autograd.grad(total, picked, allow_unused=True, materialize_grads=True)
    return {n: (slope > 0) & mask[n].cpu() for n, slope in zip(mask, slopes, strict=True)}


class Open(TorchFunctionMode):
    """Let through what a function of all signals would scale, drop or choose between.

    Norms and softmax only set the level, dropout does nothing, attention is plain products, and a
    max pool is an average, since a weight is effective if any of the pixels could win.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        signal = args[0] if args else kwargs.get("input")
        if name in LINEAR:
            return level(func(*args, **kwargs))
        if name in LEVELLED:
            return level(signal)
        if name in DROPPED:
            return signal
        if name in AVERAGES and kwargs.get("dilation", 1) in (1, (1, 1)):
            return average(AVERAGES[name], *args, **kwargs)
        if name == "scaled_dot_product_attention":
            return level(attend(*args, **kwargs))
        if name == "multi_head_attention_forward":
            return attention(*args, **kwargs), None
        if name in GATES and isinstance(args[3], bool):  # a list of weights: packed sequences
            return recurrent(name, *args)
        return func(*args, **kwargs)


LINEAR = {
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "einsum",
}  # fmt: skip
LEVELLED = {
    "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "softmax", "log_softmax",
}  # fmt: skip
DROPPED = {"dropout", "dropout1d", "dropout2d", "dropout3d"}
AVERAGES: dict[str, Callable[..., Tensor]] = {
    "max_pool1d": F.avg_pool1d,
    "max_pool2d": F.avg_pool2d,
    "max_pool3d": F.avg_pool3d,
    "adaptive_max_pool1d": F.adaptive_avg_pool1d,
    "adaptive_max_pool2d": F.adaptive_avg_pool2d,
    "adaptive_max_pool3d": F.adaptive_avg_pool3d,
}
GONE = ("dilation", "return_indices")  # what an average pool does not know


def average(pool: Callable[..., Tensor], input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Return the average pool of a max pool's arguments; dilation is 1."""
    fixed = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    names = ("output_size", "return_indices") if "adaptive" in pool.__name__ else fixed
    settings = dict(zip(names, args)) | kwargs
    return pool(input, **{n: settings[n] for n in names if n in settings and n not in GONE})


def attend(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Return attention without softmax, scale and mask."""
    return query @ key.transpose(-2, -1) @ value


def attention(
    query: Tensor, key: Tensor, value: Tensor, width: int, heads: int, weight: Tensor | None,
    *others: Any, q_proj_weight: Tensor | None = None, k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None, **more: Any,
) -> Tensor:  # fmt: skip
    """Return nn.MultiheadAttention's [T, B, E] of its functional form's arguments, without biases.

    Each head is a plain product of its own queries, keys and values.
    """
    apart = (q_proj_weight, k_proj_weight, v_proj_weight)
    into = apart if weight is None else weight.chunk(3)
    made = []
    for tokens, own in zip((query, key, value), into, strict=True):
        lines = level(F.linear(tokens, own))  # type: ignore[arg-type]
        made.append(lines.reshape(len(tokens), -1, width // heads).transpose(0, 1))
    mixed = level(attend(*made)).transpose(0, 1).reshape(*query.shape[:-1], width)
    return level(F.linear(mixed, others[5]))


def rows(layer: Layer, weight: Tensor) -> Tensor:
    """Return a layer's weight with a row for each output unit, [outputs, weights a unit]."""
    if layer.kind.outputs:
        grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])
        weight = grouped.transpose(1, 2).flatten(0, 1)
    return weight.flatten(1)

"""Say what each operation of a net does to the numbers of its channels."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lottery.errors import UsageError

ZERO, OUTSIDE = 0, 1  # channels that are constant zero (padding), and those of the net's input

# Names of operations: what each may do to channels.
QUERIES = {
    "size", "dim", "numel", "stride", "is_contiguous", "__get__", "__len__", "is_floating_point",
}  # fmt: skip
KEEP = {
    "relu", "relu_", "relu6", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "elu", "elu_",
    "celu", "selu", "selu_", "gelu", "silu", "mish", "softplus", "softsign", "sigmoid", "sigmoid_",
    "tanh", "tanh_", "hardswish", "hardsigmoid", "threshold", "abs", "neg", "clamp", "clamp_",
    "exp", "sqrt", "pow", "square", "dropout", "dropout1d", "dropout2d", "dropout3d",
    "alpha_dropout", "feature_alpha_dropout", "contiguous", "clone", "detach", "to", "float",
}  # fmt: skip
JOIN = {
    "add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "__add__", "__radd__", "__iadd__",
    "__sub__", "__rsub__", "__isub__", "__mul__", "__rmul__", "__imul__", "__truediv__", "rsub",
    "true_divide", "maximum", "minimum",
}  # fmt: skip
MOVE = {"flatten", "cat", "concat", "concatenate", "unsqueeze", "squeeze", "expand", "expand_as"}
REARRANGE = {
    "view", "reshape", "permute", "transpose", "movedim", "chunk", "split", "narrow", "select",
    "__getitem__", "pad", "unflatten", "stack", "unbind", "tensor_split",
}  # fmt: skip
REDUCE = {"mean", "sum", "amax"}
SOURCES = {"embedding", "embedding_bag"}  # of words, or of places
MIX = {
    "layer_norm", "rms_norm", "softmax", "matmul", "__matmul__", "bmm",
    "scaled_dot_product_attention", "multi_head_attention_forward",
}  # fmt: skip
CONVOLVE = {"conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"}
POOL = {
    f"{kind}{dims}d"
    for kind in ("max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool", "lp_pool")
    for dims in (1, 2, 3)
} | {"interpolate", "upsample"}


GATHER = {"cat", "concat", "concatenate", "stack"}
STRICT = (MOVE | REARRANGE | REDUCE | POOL) - GATHER - {"expand_as"}


class Labels(Tensor):
    """An activation of one example that holds, for each entry, the number of its channel."""


class UnfollowedError(UsageError):
    """The channels of a net cannot be followed; it is made of why not."""

    @property
    def why(self) -> str:
        return str(self.args[0])

    def __str__(self) -> str:
        return f"prune: {self.why}; choose prune/structure=filter, or another model"


def unknown(what: str) -> UnfollowedError:
    """Return the error for an operation that mixes channels, or might."""
    return UnfollowedError(f"channels cannot be followed through '{what}' of this net")


def recurrent(kind: str, name: str) -> UnfollowedError:
    """Return the error for a layer whose channels come back to it."""
    article, where = "a" if kind.startswith("GRU") else "an", f" ({name})" * bool(name)
    return UnfollowedError(f"channels cannot be followed through {article} {kind}{where}")


def found(value: Any) -> Iterator[Tensor]:
    """Yield the labels in nested arguments."""
    if isinstance(value, Labels):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from found(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from found(item)


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested arguments that are no labels."""
    if isinstance(value, Tensor) and not isinstance(value, Labels):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))


def gathered(value: Any) -> Any:
    """Return tensors that are put together, those that hold values as labels of the input."""
    if isinstance(value, (list, tuple)):
        return [gathered(item) for item in value]
    if isinstance(value, dict):
        return {key: gathered(item) for key, item in value.items()}
    constant = isinstance(value, Tensor) and not isinstance(value, Labels)
    return outside(value) if constant else value


def of_numbers(x: Tensor) -> bool:
    """Say whether a tensor holds values, and is no index."""
    return x.is_floating_point() and x.numel() > 1


def numbers(x: Tensor) -> set[int]:
    """Return the channels that occur in labels."""
    cut = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in x.stride())
    return {int(number) for number in x[cut].reshape(-1).tolist()}


def along(x: Tensor, axis: int) -> Tensor:
    """Return the channel of each index of an axis; raise where they differ along the others.

    Zeros that were padded onto a channel count as that channel.
    """
    cut = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in x.stride())
    rows = x.as_subclass(Tensor)[cut].expand(
        *(n if d == axis % x.dim() else -1 for d, n in enumerate(x.shape))
    )
    rows = rows.movedim(axis, 0).flatten(1)
    top = rows.amax(1, keepdim=True)
    if not bool(((rows == top) | (rows == ZERO)).all()):
        raise unknown("a layer that reads several channels at one place")
    return top.squeeze(1).long()


def spread(channels: Tensor, axis: int, shape: torch.Size) -> Tensor:
    """Return labels of a shape from those of one axis, without memory for the others."""
    ones = [1] * len(shape)
    ones[axis] = -1
    return channels.double().view(ones).expand(shape).as_subclass(Labels)


def outside(like: Tensor) -> Tensor:
    """Return labels of a tensor's shape that are those of the net's input."""
    return torch.full(like.shape, float(OUTSIDE), dtype=torch.float64).as_subclass(Labels)


def shadowed(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Return an operation's result without numbers, from shapes alone."""

    def shadow(value: Any) -> Any:
        if isinstance(value, Tensor):
            return torch.empty(value.shape, device="meta")
        return value

    return func(*map(shadow, args), **{k: shadow(v) for k, v in kwargs.items()})


def shape_of(func: Callable[..., Any], args: Any, kwargs: Any) -> torch.Size:
    """Return the shape of an operation's result."""
    result = shadowed(func, args, kwargs)
    if not isinstance(result, Tensor):
        raise unknown(f"{func.__name__} with indices")
    return result.shape


def reduced(func: Callable[..., Any], args: Any, kwargs: Any) -> Tensor:
    """Return the labels of a mean or a sum over positions; raise where it mixes channels."""
    x = next(found((args, kwargs)))
    shape = shape_of(func, args, kwargs)
    axis = kwargs["dim"] if "dim" in kwargs else args[1] if len(args) > 1 else None
    if axis is None:
        raise unknown(f"{func.__name__} over everything")
    axes = [a % x.dim() for a in ([axis] if isinstance(axis, int) else axis)]
    top, low = x.amax(axes), torch.where(x == ZERO, torch.inf, x).amin(axes)
    if not bool(((low == top) | (top == ZERO)).all()):
        raise unknown(f"{func.__name__} over channels")
    return top.view(shape)


def same(x: Tensor, result: Tensor) -> bool:
    """Say whether the second axis still has the same channels at the same places."""
    if result.dim() < 2 or x.dim() < 2 or x.shape[1] != result.shape[1]:
        return False
    one, two = (t.movedim(1, 0).flatten(1).amax(1) for t in (x, result))
    return torch.equal(one, two)


def flat(result: Tensor, args: Any) -> bool:
    """Say whether a view flattened all but the first axis, of whatever size they are."""
    sizes = args[1:]  # behind the tensor
    return result.dim() == 2 and (
        -1 in sizes or any(-1 in a for a in sizes if isinstance(a, tuple))
    )

"""Find which channels of a net are tied: what has to be removed together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from lottery.errors import UsageError
from lottery.nets.labels import (
    CONVOLVE,
    GATHER,
    JOIN,
    KEEP,
    MIX,
    MOVE,
    OUTSIDE,
    POOL,
    QUERIES,
    REARRANGE,
    REDUCE,
    SOURCES,
    STRICT,
    ZERO,
    Labels,
    along,
    flat,
    found,
    gathered,
    numbers,
    of_numbers,
    outside,
    recurrent,
    reduced,
    same,
    shadowed,
    shape_of,
    spread,
    tensors,
    unknown,
)  # fmt: skip
from lottery.terms.copying import copied
from lottery.terms.prunable import layers
from lottery.terms.task import Task
from lottery.terms.trees import mapped

RECURRENT = (nn.RNNBase, nn.RNNCellBase)


@dataclass(frozen=True)
class Graph:
    """The channels of a net, numbered below `size`; tied positions have the same number.

    `outputs` gives the channel of each output of a layer, by the name of its weight, in the order
    of the forward pass; `inputs` that of each index of the weight's input axis, and has no entry
    for a depthwise convolution, whose inputs are its outputs; `biases` that of each bias, and of
    scale and shift of a BatchNorm. `norms` gives the channels of each BatchNorm, `after` the
    BatchNorm that reads a layer's output and nothing before it. `fixed` marks channels that are
    inputs or outputs of the net; `held` those whose number the code of the net relies on (padding,
    splits), so that their weights may be pruned but not cut off.
    """

    size: int
    outputs: dict[str, Tensor]
    inputs: dict[str, Tensor]
    biases: dict[str, Tensor]
    norms: dict[str, Tensor]
    after: dict[str, str]
    fixed: Tensor
    held: Tensor


def trace(model: nn.Module, task: Task) -> Graph:
    """Return the graph of `model`, by one forward pass of channel numbers in its numbers' place.

    Nothing is computed, and the model stays as it is. Layers are tied by sums and products of
    activations, and by depthwise and grouped convolutions: of the groups of a grouped convolution,
    the channels at the same place in each. Raises UsageError for an operation that is not known,
    and where the outputs do not come of what was followed.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise unknown("TorchScript")
    model = copied(model)  # it may keep what it sees
    follower = Follower(model)
    given = task.inputs(task.example(1))
    labels = mapped(given, lambda t: outside(t) if t.is_floating_point() else t)
    try:
        with evaluating(model), torch.no_grad(), follower:
            result = model(*labels)
    except Exception as error:  # the net's own code looks at what it is given
        if again := looped(model):
            raise again from error
        if isinstance(error, UsageError):
            raise
        reason = next(iter(str(error).splitlines()), "")
        told = reason if isinstance(error, RuntimeError) else f"{type(error).__name__}: {reason}"
        raise unknown(told) from error
    if not isinstance(result, Labels):
        raise unknown("what makes the outputs")
    for output in found(result):
        for label in numbers(output):
            follower.ties.unite(OUTSIDE, label)
    return follower.graph()


def looped(model: nn.Module) -> UsageError | None:
    """Return the error for a net with a recurrent layer, whose own code says nothing of it."""
    for name, module in model.named_modules():
        if isinstance(module, RECURRENT):
            return recurrent(type(module).__name__, name)
    return None


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold the model in evaluation mode, then put each module back into its own."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@dataclass
class Ties:
    """Disjoint sets of channel numbers; the lowest number stands for its set."""

    parent: list[int] = field(default_factory=lambda: [ZERO, OUTSIDE])

    def new(self, number: int) -> Tensor:
        """Return `number` channels that are tied to none."""
        first = len(self.parent)
        self.parent.extend(range(first, first + number))
        return torch.arange(first, first + number)

    def find(self, label: int) -> int:
        while self.parent[label] != label:
            self.parent[label] = label = self.parent[self.parent[label]]
        return label

    def unite(self, a: int, b: int) -> None:
        low, high = sorted((self.find(a), self.find(b)))
        if low != ZERO:
            self.parent[high] = low

    def unite_all(self, a: Tensor, b: Tensor) -> None:
        """Tie two tensors entry by entry."""
        width = len(self.parent)
        keys = a.reshape(-1).long() * width + b.reshape(-1).long()
        for key in keys.unique().tolist():  # type: ignore[no-untyped-call]
            self.unite(*divmod(key, width))


class Follower(TorchFunctionMode):
    """Do to channel numbers what each operation of the net does to channels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.ties = Ties()
        self.normed: dict[int, str] = {}
        self.names = {id(parameter): name for name, parameter in model.named_parameters()}
        every = layers(model)
        self.layers = {id(own.weight): n for n, own in every.items() if not own.kind.asked}
        self.words = {id(own.weight) for own in every.values() if own.kind.asked}
        for name, module in model.named_modules():
            if isinstance(module, _BatchNorm):
                known = (module.weight, module.running_mean)
                self.normed |= {id(tensor): name for tensor in known if tensor is not None}
        self.outputs: dict[str, Tensor] = {}
        self.inputs: dict[str, Tensor] = {}
        self.biases: dict[str, Tensor] = {}
        self.norms: dict[str, Tensor] = {}
        self.after: dict[str, str] = {}
        self.made: dict[int, tuple[str, Tensor]] = {}  # holds the tensor: its id must stay taken
        self.held: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        labels = list(found((args, kwargs)))
        name = func.__name__
        if name in SOURCES and not labels:
            return outside(func(*args, **kwargs))
        if not labels or name in QUERIES:
            return func(*args, **kwargs)
        if name in KEEP and len(labels) == 1:
            return labels[0]
        if name in STRICT and any(map(of_numbers, tensors((args, kwargs)))):
            raise unknown(f"{name} with a tensor of constants")
        if name in GATHER:
            args, kwargs = gathered(args), gathered(kwargs)
        if name in MOVE:
            return func(*args, **kwargs)
        if name in MIX:
            return self.mix(labels, func, args, kwargs)
        if name in REARRANGE:
            return self.rearrange(func, args, kwargs)
        if name in JOIN:
            return self.join(name, labels, [*args, *kwargs.values()])
        if name in REDUCE:
            return reduced(func, args, kwargs)
        if name in POOL:
            shape = shape_of(func, args, kwargs)
            return spread(along(labels[0], 1), 1, shape)
        if name == "batch_norm":
            return self.norm(labels[0], [*args, *kwargs.values()])
        if name == "linear" or name in CONVOLVE:
            return self.layer(name, labels[0], func, args, kwargs)
        raise unknown(name)

    def layer(self, name: str, x: Tensor, func: Any, args: Any, kwargs: Any) -> Tensor:
        given = dict(zip(("input", "weight", "bias"), args)) | kwargs
        weight, bias = given["weight"], given.get("bias")
        if id(weight) in self.words:  # scores of words, by what stands for them
            return self.mix([x], func, args, kwargs)  # type: ignore[no-any-return]
        if given["input"] is not x or id(weight) not in self.layers:
            raise unknown(f"{name} of a weight that the net's code makes of others")
        if bias is not None and id(bias) not in self.names:
            raise unknown(f"{name} with a bias that the net's code makes of others")
        key = self.layers[id(weight)]
        axis = -1 if name == "linear" else 1
        before = along(x, axis)
        groups = int(kwargs.get("groups", args[6] if len(args) > 6 else 1))
        if groups > 1 and "transpose" in name:
            raise unknown(f"{name} in groups")
        number = weight.shape[1] if "transpose" in name else weight.shape[0]
        after = self.ties.new(number)
        if groups == 1:
            self.note(self.inputs, key, before)
        elif groups == len(before):
            self.ties.unite_all(before.repeat_interleave(number // groups), after)
        else:
            first, *others = before.view(groups, -1)
            for other in others:
                self.ties.unite_all(first, other)
            for other in after.view(groups, -1)[1:]:
                self.ties.unite_all(after.view(groups, -1)[0], other)
            self.note(self.inputs, key, first)
        self.note(self.outputs, key, after)
        if bias is not None:
            self.note(self.biases, self.names[id(bias)], after)
        result = spread(after, axis, shape_of(func, args, kwargs))
        self.made[id(result)] = (key, result)
        return result

    def note(self, side: dict[str, Tensor], key: str, channels: Tensor) -> None:
        """Keep the channels of a tensor, tied to those that it had at an earlier call."""
        if key in side:
            self.ties.unite_all(side[key], channels)
        else:
            side[key] = channels

    def norm(self, x: Tensor, tensors: list[Any]) -> Tensor:
        name = next((self.normed[id(t)] for t in tensors if id(t) in self.normed), None)
        if name is None:
            raise unknown("batch_norm without numbers of its own")
        channels = along(x, 1)
        self.note(self.norms, name, channels)
        for tensor in tensors:  # scale and shift, which two of them may share
            if id(tensor) in self.names:
                self.note(self.biases, self.names[id(tensor)], channels)
        if id(x) in self.made:
            self.after.setdefault(self.made[id(x)][0], name)
        return x.view_as(x)

    def join(self, name: str, labels: list[Tensor], operands: list[Any]) -> Tensor:
        every = [t for t in operands if isinstance(t, Tensor)]
        shape = torch.broadcast_shapes(*(t.shape for t in every))  # type: ignore[no-untyped-call]
        if any(t.numel() > 1 for t in every if not isinstance(t, Labels)):
            for each in labels:  # what is added, or multiplied by, has a number for each channel
                self.held |= numbers(each)
        if tuple(shape) != tuple(labels[0].shape) and name.startswith("__i"):
            raise unknown(name)
        if len(labels) == 1:
            return labels[0].expand(shape)
        a, b = (each.expand(shape) for each in labels)
        one = [sa == sb == 0 for sa, sb in zip(a.stride(), b.stride())]
        cut = tuple(slice(0, 1) if alike else slice(None) for alike in one)
        a, b = a[cut], b[cut]
        self.ties.unite_all(a, b)
        self.held |= numbers(a[b == ZERO]) | numbers(b[a == ZERO])  # added to padding
        return torch.where(a == ZERO, b, a).expand(shape)

    def mix(self, labels: list[Tensor], func: Any, args: Any, kwargs: Any) -> Any:
        """Return what is made of all channels, none of which can be taken out by itself."""
        for each in labels:
            for label in numbers(each):
                self.ties.unite(OUTSIDE, label)
        return mapped(shadowed(func, args, kwargs), outside)

    def rearrange(self, func: Any, args: Any, kwargs: Any) -> Any:
        x = next(found((args, kwargs)))
        if func.__name__ == "pad" and any([*args[3:], kwargs.get("value")]):
            raise unknown("pad with other numbers than 0")
        args = tuple(a.contiguous() if isinstance(a, Labels) else a for a in args)
        result = func(*args, **kwargs)
        if not (isinstance(result, Tensor) and (same(x, result) or flat(result, args))):
            self.held |= numbers(x)
        return result

    def graph(self) -> Graph:
        roots = torch.tensor([self.ties.find(label) for label in range(len(self.ties.parent))])
        fixed, held = (torch.zeros(len(roots), dtype=torch.bool) for _ in range(2))
        fixed[[ZERO, OUTSIDE]] = True
        for label in self.held:
            held[roots[label]] = True

        def rooted(channels: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: roots[labels] for name, labels in channels.items()}

        return Graph(
            len(roots), rooted(self.outputs), rooted(self.inputs), rooted(self.biases),
            rooted(self.norms), self.after, fixed, held,
        )  # fmt: skip

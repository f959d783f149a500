"""Say which parameters of a net may be pruned, by the kind of module that holds them."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from lottery.terms.copying import copied
from lottery.terms.stacked import Stacked


@dataclass(frozen=True)
class Kind:
    """A row of the table: modules, the names of their weights, the axis that counts outputs.

    The weight of a layer with gates is a stack of `blocks` matrices; that of `stacked` nets has one
    for each along its first axis. What is `asked` for is pruned only where a pattern of
    prune.include fits nothing but such layers.
    """

    modules: tuple[type[nn.Module], ...]
    weights: str  # a pattern
    outputs: int = 0
    blocks: int = 1
    stacked: bool = False
    asked: bool = False


TABLE = (
    Kind((nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d), "weight"),
    Kind((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), "weight", outputs=1),
    Kind((nn.LSTM, nn.GRU, nn.RNN), "weight_hr_*"),
    Kind((nn.LSTM, nn.LSTMCell), "weight_[ih]h*", blocks=4),
    Kind((nn.GRU, nn.GRUCell), "weight_[ih]h*", blocks=3),
    Kind((nn.RNN, nn.RNNCell), "weight_[ih]h*"),
    Kind((nn.MultiheadAttention,), "in_proj_weight", blocks=3),
    Kind((nn.MultiheadAttention,), "[qkv]_proj_weight"),
    Kind((Stacked,), "weight", outputs=1, stacked=True),
    Kind((nn.Embedding, nn.EmbeddingBag), "weight", outputs=1, asked=True),
)
BIAS = re.compile("bias(_|$)")
EARLIER = "_orig"  # ends what torch's hooks of before parametrizations make a weight of


@dataclass(frozen=True)
class Layer:
    """A parameter that may be pruned; tied, it is that of the first module of the table.

    `names` are all names of the parameter and of the modules that hold it, for patterns. `asked`
    are embeddings, also those that are an output layer as well, and what a model leaves out by
    itself: it may have patterns of names as `asked`.
    """

    weight: nn.Parameter
    module: nn.Module
    kind: Kind
    names: tuple[str, ...]
    left: tuple[str, ...] = ()  # patterns of what is pruned if asked alone
    embeds: bool = False

    @property
    def asked(self) -> bool:
        return self.embeds or any(fnmatchcase(n, p) for p in self.left for n in self.names)

    @property
    def groups(self) -> int:
        return int(getattr(self.module, "groups", 1))


def layers(model: nn.Module) -> dict[str, Layer]:
    """Return what may be pruned by the parameter's first name, in the model's order.

    Of a parametrised weight that is the tensor behind it, if a 0 in it is a 0 of the weight.
    """
    found: dict[int, Layer] = {}
    left = tuple(getattr(model, "asked", ()))
    for path, module in model.named_modules(remove_duplicate=False):
        for kind in TABLE:
            if not isinstance(module, kind.modules):
                continue
            for name, weight in weights_of(module, kind.weights):
                if not weight.is_floating_point() or not (is_lazy(weight) or weight.numel()):
                    continue  # complex, without an order to prune by, or without any number
                own = (f"{path}.{name}".lstrip("."), path)
                known = found.get(id(weight))
                names = tuple(dict.fromkeys((*known.names, *own))) if known else own
                embeds = kind.asked or (known is not None and known.embeds)
                if known is None or (known.kind.asked and not kind.asked):
                    found[id(weight)] = Layer(weight, module, kind, names, left, embeds)
                else:
                    found[id(weight)] = replace(known, names=names, embeds=embeds)
    return {n: found[id(p)] for n, p in model.named_parameters() if id(p) in found}


def weights_of(module: nn.Module, pattern: str) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the parameters of a module that its weights are, or are made of, by name."""
    own = dict(module.named_parameters(recurse=False))
    for name, parameter in own.items():
        if fnmatchcase(name, pattern):
            yield name, parameter
        made = name.removesuffix(EARLIER)
        if made != name and fnmatchcase(made, pattern) and hasattr(module, made):
            yield name, parameter
    for name, chain in getattr(module, "parametrizations", {}).items():
        if fnmatchcase(name, pattern):
            for leaf, parameter in chain.named_parameters(recurse=False):
                if leaf.startswith("original") and keeps_zeros(chain, leaf):
                    yield f"parametrizations.{name}.{leaf}", parameter


@torch.no_grad()
def keeps_zeros(chain: parametrize.ParametrizationList, leaf: str) -> bool:
    """Say whether a weight is 0 where the tensor behind it is, half of its rows whole.

    A weight norm is none such: a row of zeros divided by its norm is no number. What else the
    weight is made of is drawn anew, since a net has the same mask whatever its numbers are.
    """
    trial = copied(chain)
    trial.eval()
    behind = trial.get_parameter(leaf)
    draw = torch.Generator().manual_seed(0)
    for tensor in (*trial.parameters(), *trial.buffers()):
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=draw) + 0.5)
    gone = torch.arange(behind.numel(), device=behind.device).view(behind.shape) % 2 == 0
    gone[: len(behind) // 2] = True
    behind.fill_(1.0).masked_fill_(gone, 0.0)
    made = trial()
    return made.shape == behind.shape and bool(((made == 0) == gone).all())


def bare(model: nn.Module, mask: Iterable[str]) -> dict[str, int]:
    """Return the parameters of two or more axes that no mask reaches, with their sizes."""
    known = set(mask)
    return {
        name: p.numel() for name, p in model.named_parameters() if p.dim() > 1 and name not in known
    }


def draw_(layer: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Draw a module's weights anew, gate by gate, and set its biases to zero, in place.

    Embeddings stay: what a token begins as has no fan-in.
    """
    drawn = False
    for kind in TABLE:
        if isinstance(layer, kind.modules) and not kind.asked:
            for _, weight in weights_of(layer, kind.weights):
                for block in weight if kind.stacked else weight.chunk(kind.blocks):
                    draw(block)
                drawn = True
    for name, parameter in layer.named_parameters(recurse=False):
        if drawn and BIAS.search(name):
            parameter.zero_()

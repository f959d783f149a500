"""Find the heads of attention, whatever a net calls its parts, and cut some of them off."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.machine.kernels import plain
from lottery.nets.graph import evaluating
from lottery.terms.copying import copied
from lottery.terms.mask import Mask
from lottery.terms.prunable import layers
from lottery.terms.task import Task, made_up
from lottery.terms.trees import first
from lottery.wording.text import first_line

EXAMPLES, SCALE = 2, 0.2  # made up, and of random weights: it is tried whether heads are apart
# Layers of queries, keys and values (one layer where their rows are in one matrix), and the layer
# that reads the heads, as seen from the module that has them.
LAYOUTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("q", "k", "v"), "proj"),  # nets.attention; class attention of timm
    (("qkv",), "proj"),  # timm
    (("q_proj", "k_proj", "v_proj"), "proj"),  # EVA in timm
    (("q_proj", "k_proj", "v_proj"), "out_proj"),  # BART, CLIP in transformers
    (("q_proj", "k_proj", "v_proj"), "o_proj"),  # ViT and others there
    (("self.query", "self.key", "self.value"), "output.dense"),  # BERT and its like
    (("query", "key", "value"), "dense"),  # ALBERT
    (("q_lin", "k_lin", "v_lin"), "out_lin"),  # DistilBERT
    (("q", "k", "v"), "o"),  # T5
)
NUMBERS = ("num_heads", "num_attention_heads", "n_heads")  # attributes that say how many there are
SIZES = ("size", "head_dim", "attention_head_size")  # ... and how many rows one has in each matrix
WIDTHS = ("attn_dim", "all_head_size", "inner_dim")  # ... and all of them together


@dataclass(frozen=True)
class Part:
    """A tensor that heads share: those of its entries along an axis that each has, [heads, n]."""

    name: str
    axis: int
    entries: Tensor


@dataclass(frozen=True)
class Heads:
    """The heads of one attention: weights that make them, that which reads them, their biases.

    `told` is the module whose attributes say how many there are; None where its code takes their
    number from elsewhere, so that none can be cut off.
    """

    path: str
    number: int
    made: tuple[Part, ...]
    read: Part
    biases: tuple[Part, ...]
    told: str | None

    @property
    def weights(self) -> tuple[Part, ...]:
        return (*self.made, self.read)


def found(model: nn.Module) -> list[Heads]:
    """Return the attentions of a net whose layout is known, in its order."""
    weights = {id(layer.weight): name for name, layer in layers(model).items()}
    every: dict[str, Heads] = {}
    for path, module in model.named_modules():
        for heads in of_module(path, module, weights):
            every.setdefault(heads.read.name, heads)
    return list(every.values())


def of_module(path: str, module: nn.Module, weights: Mapping[int, str]) -> Iterator[Heads]:
    """Yield the heads of a module; `weights` are the names of what may be pruned."""
    if isinstance(module, nn.MultiheadAttention):
        apart = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
        whole = module.in_proj_weight
        into = [weights.get(id(w), "") for w in ([whole] if whole is not None else apart)]
        out, width = weights.get(id(module.out_proj.weight), ""), module.out_proj.weight.shape[1]
        if all([*into, out]):
            made = parts(into, module.num_heads, width)
            read = columns(out, module.num_heads, width)
            yield Heads(path, module.num_heads, made, read, (), None)
        return
    for names, last in LAYOUTS:
        made_by = [layer for name in names if (layer := layer_of(module, name))]
        out_layer = layer_of(module, last)
        if out_layer is None or len(made_by) < len(names):
            continue
        known = [weights.get(id(layer.weight), "") for layer in (*made_by, out_layer)]
        owner = names[0].rpartition(".")[0]
        width = out_layer.weight.shape[1]
        number = number_of(module.get_submodule(owner), width)
        rows = width * (3 if len(names) == 1 else 1)
        same = all(len(layer.weight) == rows for layer in made_by)
        if not all(known) or not same or not number or width % number:
            continue
        pairs = zip(names, made_by, strict=True)
        biases = [f"{path}.{n}.bias".lstrip(".") for n, layer in pairs if layer.bias is not None]
        yield Heads(
            path,
            number,
            parts(known[:-1], number, width),
            columns(known[-1], number, width),
            parts(biases, number, width, len(names)),
            f"{path}.{owner}".strip("."),
        )


def layer_of(module: nn.Module, name: str) -> nn.Linear | nn.Conv2d | None:
    """Return a layer below a module that is a matrix, if it is there."""
    with suppress(AttributeError, RuntimeError):  # not there, or TorchScript
        layer = module.get_submodule(name)
        if isinstance(layer, nn.Linear):
            return layer
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1:
            return layer
    return None


def number_of(module: nn.Module, width: int) -> int:
    """Return how many heads a module says that it has; 0 where it says nothing."""
    for name in NUMBERS:
        if isinstance(number := getattr(module, name, None), int):
            return number
    for name in SIZES:
        if isinstance(size := getattr(module, name, None), int) and size > 0:
            return width // size
    return 0


def parts(names: list[str], number: int, width: int, layers: int = 0) -> tuple[Part, ...]:
    """Return the rows of each head in tensors of queries, keys and values; one layer has all."""
    rows = torch.arange(width).view(number, -1)
    thirds = 3 if (layers or len(names)) == 1 else 1
    entries = torch.cat([rows + third * width for third in range(thirds)], 1)
    return tuple(Part(name, 0, entries) for name in names)


def columns(name: str, number: int, width: int) -> Part:
    """Return the columns of each head in the weight that reads them."""
    return Part(name, 1, torch.arange(width).view(number, -1))


def check_apart(model: nn.Module, task: Task, every: list[Heads]) -> None:
    """Raise UsageError unless a head acts through its own columns of the last weight alone.

    By derivatives, on a copy of random weights: with the columns of some heads at 0 nothing depends
    on the rows that make those heads. Any two heads are once on different sides.
    """
    net = copied(model)
    weights = dict(net.named_parameters())
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in weights.values():
            weight.requires_grad_(True).copy_(torch.randn(weight.shape, generator=draw) * SCALE)
    device = next(net.parameters()).device
    given = made_up(task, EXAMPLES, device)
    made = [(heads, part) for heads in every for part in heads.made]
    bits = max(heads.number for heads in every).bit_length()
    for bit, side in product(range(bits), (0, 1)):
        gone = {h.path: (torch.arange(h.number) >> bit) % 2 == side for h in every}
        before = {h.read.name: weights[h.read.name].clone() for h in every}
        with torch.no_grad():
            for heads in every:
                lost = heads.read.entries[gone[heads.path]].flatten().to(device)
                weights[heads.read.name].index_fill_(heads.read.axis, lost, 0.0)
        slopes = derivatives(net, given, [weights[part.name] for _, part in made])
        with torch.no_grad():
            for name, held in before.items():
                weights[name].copy_(held)
        for (heads, part), slope in zip(made, slopes, strict=True):
            lost = part.entries[gone[heads.path]].flatten().to(device)
            if slope.index_select(part.axis, lost).any():
                raise UsageError(
                    f"prune/structure=head: the heads of {heads.path} are not apart from one "
                    "another in this net, or lie in another order than is known; type "
                    "prune/structure=weight"
                )


def derivatives(net: nn.Module, given: tuple[object, ...], weights: list[Tensor]) -> list[Tensor]:
    """Return the derivatives of a mixture of outputs; raises UsageError where there are none."""
    try:
        with evaluating(net), plain(net), torch.enable_grad():
            scores = first(net(*given))
            mixture = torch.randn(scores.shape, generator=torch.Generator().manual_seed(1))
            total = (scores * mixture.to(scores)).sum()
            return list(
                torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True)
            )
    except (RuntimeError, AttributeError, TypeError) as error:
        raise UsageError(
            f"prune/structure=head: this net gives no derivatives ({first_line(error)}), so its "
            "heads cannot be told apart; type prune/structure=weight"
        ) from error


def remaining(heads: Heads, mask: Mask) -> Tensor:
    """Return which heads anything reads, [heads]; one at least."""
    keep = mask.get(heads.read.name)
    if keep is None:
        return torch.ones(heads.number, dtype=torch.bool)
    columns = keep.movedim(heads.read.axis, 0).flatten(1).any(1).cpu()
    stays = columns[heads.read.entries].any(1)
    if not stays.any():
        stays[0] = True
    return stays


def take(
    heads: Heads, stays: Tensor, tensors: dict[str, Tensor], own: Mapping[str, Tensor]
) -> None:
    """Leave heads out of the tensors that have them, in place; `own` has those of the whole net."""
    if heads.told is None:
        raise UsageError(
            f"compact: heads of {heads.path} are pruned whole, but torch.nn.MultiheadAttention has "
            "as many as its width says, so none can be cut off; those of model=vit can"
        )
    for part in (*heads.weights, *heads.biases):
        tensor = tensors.get(part.name, own[part.name])
        index = part.entries[stays].flatten().sort().values.to(tensor.device)
        tensors[part.name] = tensor.index_select(part.axis, index).clone()


def tell_(model: nn.Module, before: list[Heads]) -> None:
    """Say to each attention how many heads its weights have now, in place."""
    for heads in before:
        if heads.told is None:
            continue
        module = model.get_submodule(heads.told)
        size = heads.read.entries.shape[1]
        width = model.get_parameter(heads.read.name).shape[1]
        for names, value in ((NUMBERS, width // size), (WIDTHS, width)):
            for name in names:
                if isinstance(getattr(module, name, None), int):
                    setattr(module, name, value)

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lottery.errors import UsageError
from lottery.machine.kernels import derivable
from lottery.nets.channels import rows as by_channel
from lottery.nets.graph import Graph, trace
from lottery.pruning import scoring as look
from lottery.terms.analysis import Finished, Row, Rows
from lottery.terms.prunable import layers
from lottery.terms.task import ones
from lottery.terms.trees import first, mapped
from lottery.terms.units import output_axes
from lottery.wording.settings import choose

ALL = "all"  # names the row of all layers
LAWS = ("share", "bias", "apart", "violation")


@dataclass(frozen=True)
class Saliency:
    """The derivatives of R by each parameter, by name, and R as its outputs have it."""

    slopes: dict[str, Tensor]
    total: float  # the sum of dR/dy * y over the outputs y


def conservation(level: Finished, *, of: list[str], at: str, examples: int) -> Rows:
    """Say how far scores S = dR/dtheta * theta are conserved, layer by layer and unit by unit.

    Tanaka et al. 2020, theorems 1 and 2: where activations are homogeneous, what enters a hidden
    unit (the scores of its weights and of its shift) is what leaves it, so that without shifts
    each layer of a chain has the same sum, R. A unit is a channel, with all layers that write and
    read it. R is that of SynFlow, or the `loss` of `examples` training examples; in float64, in
    evaluation mode, where a BatchNorm is a scale and a shift. `share` is a layer's sum over R,
    `bias` that of its shifts, `apart` how far the share, with all shifts from this layer on, is
    from 1, NaN in a net that is no chain of layers; `violation` is the largest difference between
    what enters and leaves a unit, over the largest of either in the layer, NaN where all units are
    mixed (attention, LayerNorm). All is NaN, which is said, where a net has no such R, and units
    where they cannot be followed. Raises UsageError for another R, and another `at` than start and
    end (of training).
    """
    for word in of:
        choose(SALIENCIES, word, "analyses.conservation.of")
    states = {"start": level.ticket.weights, "end": level.end.weights}
    weights = choose(states, at, "analyses.conservation.at")
    if examples < 1:
        raise UsageError(
            f"analyses.conservation.examples={examples} is below 1; type "
            "analyses.conservation.examples=100"
        )
    level.advance(f"scores of {', '.join(of)}")
    net = look.twin(level.net(weights), double=True)
    graph = followed(level, net)
    own = list(graph.outputs) if graph else [n for n, o in layers(net).items() if not o.kind.asked]
    counts = {name: int(net.get_parameter(name).count_nonzero()) for name in own}
    made: list[Row] = [
        {"layer": name.removesuffix(".weight"), "weights": number}
        for name, number in counts.items()
    ]
    whole: Row = {"layer": ALL, "weights": sum(counts.values())}
    for word in of:
        twin = look.twin(net, double=True)
        try:
            saliency = SALIENCIES[word](level, twin, examples)
        except UsageError as error:
            level.warn(f"conservation: this net has no scores of {word}: {error}")
            found = [dict.fromkeys(LAWS, math.nan) for _ in own]
        else:
            found = laws(twin, graph, own, saliency)
        for row, each in zip(made, found, strict=True):
            row |= {f"{word}_{law}": each[law] for law in LAWS}
        whole |= {f"{word}_{law}": whole_of(law, [each[law] for each in found]) for law in LAWS}
    return {"": [*made, whole]}


def followed(level: Finished, net: nn.Module) -> Graph | None:
    """Return the channels of a net; None, which is said, where they cannot be followed."""
    try:
        return trace(net, level.task)
    except UsageError as error:
        level.warn(f"conservation: the units of this net cannot be followed: {error}")
        return None


def synflow(level: Finished, net: nn.Module, examples: int) -> Saliency:
    """Return the slopes of R, the sum of the outputs of the absolute net for an input of ones."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    signal = ones(level.task, net, torch.float64, next(net.parameters()).device)
    return derived(net, lambda: first(net(*signal)).sum())


def loss(level: Finished, net: nn.Module, examples: int) -> Saliency:
    """Return the slopes of the mean loss of some training examples."""
    draw = level.draw("examples")
    (batch,) = level.task.scoring_batches(draw, size=examples, batch=look.ALL)
    batch = mapped(batch, lambda t: t.double() if t.is_floating_point() else t)
    with derivable(net), look.in_float64(True):
        return derived(net, lambda: level.task.loss(net, batch))


SALIENCIES = {"synflow": synflow, "loss": loss}


def derived(net: nn.Module, value: Callable[[], Tensor]) -> Saliency:
    """Return the slopes of a value that follows from a net's outputs."""
    seen: list[Tensor] = []
    hook = net.register_forward_hook(lambda module, given, made: seen.append(first(made)))
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    try:
        found = value()
    finally:
        hook.remove()
    outputs = {f"output {number}": y for number, y in enumerate(seen)}
    slopes = look.derive(found, dict(net.named_parameters()) | outputs)
    total = sum(float((slopes.pop(name) * y.detach()).sum()) for name, y in outputs.items())
    return Saliency(slopes, total)


def laws(
    net: nn.Module, graph: Graph | None, own: list[str], saliency: Saliency
) -> list[dict[str, float]]:
    """Return a row a layer, in the order of the forward pass where that is known."""
    weights = {name: net.get_parameter(name).detach() for name in own}
    scores = {name: weight * saliency.slopes[name] for name, weight in weights.items()}
    share = [over(float(scores[name].sum()), saliency.total) for name in own]
    unknown = dict.fromkeys(LAWS, math.nan)
    if graph is None:
        return [unknown | {"share": each} for each in share]
    shifts = shifts_of(net, graph, saliency.slopes)
    axes = output_axes(net)
    enters, leaves = (torch.zeros(graph.size, dtype=torch.float64) for _ in range(2))
    for name, channels in graph.biases.items():
        if name in shifts:
            enters.index_add_(0, channels, shifts[name])
    for name in own:
        outward = by_channel(scores[name], axes[name]).sum(1).cpu()
        enters.index_add_(0, graph.outputs[name], outward)
        if name in graph.inputs:
            inward = by_channel(scores[name], 1 - axes[name]).sum(1).cpu()
            leaves.index_add_(0, graph.inputs[name], inward)
        else:  # depthwise: it reads what it writes
            leaves.index_add_(0, graph.outputs[name], outward)
    bias = [over(float(sum(shifts[n].sum() for n in near)), saliency.total)
            for near in shifts_after(graph, own, shifts)]  # fmt: skip
    lined = chain(graph, own)
    found = []
    for number, name in enumerate(own):
        units = graph.outputs[name].unique()  # type: ignore[no-untyped-call]
        units = units[~graph.fixed[units]]
        apart = abs(share[number] + sum(bias[number:]) - 1) if lined else math.nan
        found.append(
            {
                "share": share[number],
                "bias": bias[number],
                "apart": apart,
                "violation": violation(enters[units], leaves[units]),
            }
        )
    return found


def shifts_of(net: nn.Module, graph: Graph, slopes: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the score of each shift by the name of its parameter: of a bias, and of a BatchNorm.

    In evaluation mode that is beta - gamma * mean / sqrt(variance + eps). A scale is none.
    """
    named = dict(net.named_parameters())
    scales = {f"{name}.weight" for name in graph.norms}
    shifts = {n: named[n].detach() for n in graph.biases if n not in scales}
    for name in graph.norms:
        norm, beta = net.get_submodule(name), f"{name}.bias"
        if beta in shifts and isinstance(norm, _BatchNorm) and norm.running_mean is not None:
            assert norm.running_var is not None  # the two come together
            spread = (norm.running_var + norm.eps).sqrt()
            shifts[beta] = shifts[beta] - norm.weight.detach() * norm.running_mean / spread
    return {name: (shift * slopes[name]).cpu() for name, shift in shifts.items()}


def shifts_after(graph: Graph, own: list[str], shifts: dict[str, Tensor]) -> list[list[str]]:
    """Return the shifts of each layer: its bias, and that of the BatchNorm right after it."""
    near = []
    for name in own:
        prefix = name.rpartition(".")[0]
        names = [f"{prefix}.bias".lstrip("."), f"{graph.after.get(name)}.bias"]
        near.append([each for each in dict.fromkeys(names) if each in shifts])
    return near


def chain(graph: Graph, own: list[str]) -> bool:
    """Say whether each layer reads what the one before it writes, and nothing else does."""
    writes = [set(graph.outputs[name].tolist()) for name in own]
    reads = [set(graph.inputs.get(name, graph.outputs[name]).tolist()) for name in own]
    return writes[:-1] == reads[1:] and sum(map(len, writes)) == len(set.union(*writes))


def violation(enters: Tensor, leaves: Tensor) -> float:
    """Return the largest difference over the largest of either; NaN where there is no flow."""
    if not len(enters):
        return math.nan
    most = float(torch.stack([enters, leaves]).abs().max())
    return over(float((enters - leaves).abs().max()), most)


def over(part: float, whole: float) -> float:
    """Return a share; NaN of nothing."""
    return part / whole if whole else math.nan


def whole_of(law: str, values: list[float]) -> float:
    """Return what the row of all layers says: the sum of shifts, the worst of what is to be 0."""
    if law == "share":
        return math.nan
    if law == "bias":
        return sum(values)
    return max((value for value in values if not math.isnan(value)), default=math.nan)

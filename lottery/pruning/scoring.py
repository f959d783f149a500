"""Give a criterion what it looks at: examples, a masked copy of the net, gradients of the loss.

A criterion works on a copy, so the net that it was given stays as found, whatever happens.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lottery.errors import UsageError
from lottery.machine.kernels import derivable, plain
from lottery.pruning.effort import takes as takes
from lottery.pruning.narrowing import narrow as narrow
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.copying import copied
from lottery.terms.mask import Mask
from lottery.terms.prunable import draw_
from lottery.terms.task import Batch, Task, restore_
from lottery.terms.task_checks import examples
from lottery.terms.trees import mapped
from lottery.wording.text import first_line

ALL = 2**62  # examples in one batch


class Examples(TypedDict):
    """What a criterion that needs data can be asked for."""

    per_class: int  # training examples of each class; 0 = `size` of any
    size: int  # training examples of any class, where per_class is 0; 0 = all
    batch: int  # examples a batch; 0 = train.batch_size
    augment: bool  # change them as in training
    mode: str  # train or eval: what BatchNorm and dropout do


class Scoring(Examples):
    """What a criterion that needs the loss can be asked for."""

    temperature: float  # divides the logits


@dataclass(frozen=True, eq=False)
class Probe:
    """A copy of a net at its masked weights, and the batches that it is scored on."""

    net: nn.Module
    weights: dict[str, Tensor]  # those that may be pruned, masked: gradients are taken at them
    held: dict[str, Tensor]  # the same before they were masked
    task: Task
    batches: list[Batch]
    shares: list[float]  # of each batch in the mean: by what its own mean divides by
    seed: int
    temperature: float = 1.0  # divides the scores
    double: bool = False  # whether it is computed in float64


@contextmanager
def probing(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    *,
    double: bool = False,
    reinit: str = "none",
    halves: bool = False,
    **scoring: Unpack[Scoring],
) -> Iterator[Probe]:
    """Yield the probe of a net; the global random numbers are put back as they were.

    With `halves` the examples come in two batches of equal weight, class by class, cut at N // 2.

    `double` computes in float64. `reinit` draws the weights that are scored anew (see `redraw_`).
    The examples are drawn from `generator` first, so criteria with equal settings see the same.
    Raises UsageError for settings that cannot be.
    """
    check(scoring)
    batches = examples(
        task,
        generator,
        size=scoring["size"],
        per_class=scoring["per_class"],
        batch=ALL if halves else scoring["batch"],
        augment=scoring["augment"],
        by_class=halves,
    )
    if halves:
        (whole,) = batches
        half, number = task.count(whole) // 2, task.count(whole)
        batches = [task.cut(whole, 0, half), task.cut(whole, half, number)]
    net = twin(model, double)
    redraw_(net, reinit, generator)
    weights: dict[str, Tensor] = {n: p for n, p in net.named_parameters() if n in mask}
    held = {name: w.detach().clone() for name, w in weights.items()}
    masks.apply_(net, mask)
    for weight in weights.values():
        weight.requires_grad_(True)
    net.train(scoring["mode"] == "train")
    check_batches(net, task, batches)
    if double:
        batches = mapped(batches, lambda t: t.double() if t.is_floating_point() else t)
    sizes = [task.weight(batch) for batch in batches]
    shares = [0.5, 0.5] if halves else [size / sum(sizes) for size in sizes]
    seed, temperature = generator.initial_seed(), scoring["temperature"]
    probe = Probe(net, weights, held, task, batches, shares, seed, temperature, double)
    with torch.random.fork_rng([task.device] if task.device.type == "cuda" else []):
        yield probe


def twin(model: nn.Module, double: bool = False) -> nn.Module:
    """Return a copy of a net in float64 or as it is, none of whose parameters wants gradients."""
    if double and any(p.device.type == "mps" for p in model.parameters()):
        raise UsageError("prune.criterion.double: mps has no float64; type host.device=cpu")
    net = copied(model)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net.double() if double else net


@torch.no_grad()
def redraw_(net: nn.Module, which: str, generator: torch.Generator) -> None:
    """Draw weights from Glorot's normal distribution, in place: those of `linear` layers, or `all`.

    Some authors' codes score such a copy. Biases of the layers become zero; `none` does nothing.
    """
    if which not in ("none", "linear", "all"):
        raise UsageError(f"prune.criterion.reinit: '{which}' is none of none, linear, all")
    if which == "none":
        return

    def draw(weight: Tensor) -> None:
        drawn = torch.empty(weight.shape, device="cpu")
        weight.copy_(nn.init.xavier_normal_(drawn, generator=generator))

    for layer in net.modules():
        if isinstance(layer, nn.Linear) or which == "all":
            draw_(layer, draw)


@contextmanager
def in_float64(double: bool) -> Iterator[None]:
    """Say what to type where a net's code insists on a type of its own, and `double` on float64."""
    try:
        yield
    except (RuntimeError, TypeError) as error:
        if not double:
            raise
        why = first_line(error)
        raise UsageError(
            f"prune.criterion.double: this net cannot be computed in float64 ({why}); type "
            "prune.criterion.double=false"
        ) from error


def loss(probe: Probe, index: int) -> Tensor:
    """Return the mean loss of a batch; the same dropout at every call."""
    seeds.seed_global("scoring", probe.seed, index)
    restore_(probe.task, {})
    with in_float64(probe.double), derivable(probe.net):
        return probe.task.loss(probe.net, probe.batches[index], probe.temperature)


def gradients(probe: Probe, index: int, create_graph: bool = False) -> dict[str, Tensor]:
    """Return the gradient of the loss of a batch; 0 where the loss does not know a weight."""
    if not create_graph:
        return derive(loss(probe, index), probe.weights)
    with plain(probe.net):  # the fused forms of attention and recurrent layers have no second one
        return derive(loss(probe, index), probe.weights, create_graph)


def mean_gradients(probe: Probe) -> dict[str, Tensor]:
    """Return the gradient of the mean loss of all examples."""
    every = (gradients(probe, index) for index in range(len(probe.batches)))
    return weighted(probe, every)


def weighted(probe: Probe, values: Iterator[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of what the batches gave, weighted by their numbers of examples."""
    total = {name: torch.zeros_like(w) for name, w in probe.held.items()}
    for share, value in zip(probe.shares, values, strict=True):
        for name in total:
            total[name] += share * value[name].detach()
    return total


def derive(
    value: Tensor,
    weights: Mapping[str, Tensor],
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> dict[str, Tensor]:
    """Return the derivatives of a scalar by name; 0 for a weight that it does not depend on.

    Raises UsageError where the net gives none.
    """
    if not value.requires_grad:
        raise UsageError(
            "prune.criterion: this net's forward gives no gradients in evaluation mode; type "
            "prune=snip, which scores in training mode, or prune=imp"
        )
    try:
        found = torch.autograd.grad(
            value,
            list(weights.values()),
            create_graph=create_graph,
            retain_graph=retain_graph,
            allow_unused=True,
            materialize_grads=True,
        )
    except RuntimeError as error:
        why = first_line(error)
        raise UsageError(
            f"prune.criterion: this net does not give the derivatives that it needs ({why}); "
            "choose a criterion without them, like prune=imp"
        ) from error
    return dict(zip(weights, found, strict=True))


def dot(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
    """Return the inner product over all layers, a scalar."""
    return torch.stack([(a[name] * b[name]).sum() for name in a]).sum()


def check(scoring: Scoring) -> None:
    """Raise UsageError, in one line, for settings outside their range."""
    for key in ("per_class", "size", "batch"):
        if scoring[key] < 0:  # type: ignore[literal-required]
            raise UsageError(f"prune.criterion.{key}: {scoring[key]} is below 0")  # type: ignore[literal-required]
    if scoring["mode"] not in ("train", "eval"):
        raise UsageError(f"prune.criterion.mode: '{scoring['mode']}' is none of train, eval")
    if not scoring["temperature"] > 0:
        raise UsageError(f"prune.criterion.temperature: {scoring['temperature']} is not above 0")


def check_batches(net: nn.Module, task: Task, batches: list[Batch]) -> None:
    """Raise UsageError where BatchNorm would have to normalise one example by itself."""
    normalises = any(isinstance(m, _BatchNorm) and m.training for m in net.modules())
    if normalises and any(task.count(batch) < 2 for batch in batches):
        raise UsageError(
            "prune.criterion: a batch of one example cannot be scored in training mode with "
            "BatchNorm; give a larger size or batch, or type prune.criterion.mode=eval"
        )

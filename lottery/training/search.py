"""Train before scoring: a copy of the net, its masked weights, straight-through gradients."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lottery.errors import DivergedError, UsageError
from lottery.machine import signals
from lottery.terms import mask as masks
from lottery.terms.copying import copied as own_copy
from lottery.terms.mask import Mask, Scores
from lottery.terms.step import parse
from lottery.terms.task import Task, restore_
from lottery.training.momentum import SGD
from lottery.training.passes import passes

CHECK_EVERY = 100  # updates between looks at the scores on a GPU; on the CPU every one is


@dataclass(frozen=True)
class Search:
    """Scores in training over weights that stay as they are.

    The dicts have the names of the mask. All tensors of a name share shape and memory format,
    which is what the fused optimizer walks.
    """

    model: nn.Module  # a copy; before every step its weights are overwritten by masked ones
    weights: dict[str, Tensor]  # as found; 0.0 for what can never be picked
    scores: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    lr: float  # at the start


def seed_of(generator: torch.Generator) -> int:
    """Draw the seed of a search: of its order of the data, augmentation and dropout."""
    return int(torch.randint(2**62, (), generator=generator))


def steps_in(setting: str, length: str, task: Task) -> int:
    """Return the updates that a setting of the criterion names; raise UsageError below one."""
    where = f"prune.criterion.{setting}"
    found = parse(length, task.steps_per_epoch, where=where).iteration
    if found < 1:
        raise UsageError(f"{where}: {length} is no training; write a length like 15ep or 500it")
    return found


def replica(model: nn.Module, mask: Mask, task: Task) -> nn.Module:
    """Return a copy in training mode, its pruned weights 0.0."""
    copied = own_copy(model).to(task.device)
    masks.apply_(copied, mask)
    copied.zero_grad()
    copied.train()
    return copied


def begin(
    model: nn.Module,
    mask: Mask,
    task: Task,
    scores: Scores,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
) -> Search:
    """Return a search over the weights kept in `mask`, from the given scores; `model` stays."""
    copied = replica(model, mask, task)
    for name, parameter in copied.named_parameters():
        parameter.requires_grad_(name in mask)
    parameters = dict(copied.named_parameters())
    weights = {name: parameters[name].detach().clone() for name in mask}
    ours = {name: torch.empty_like(w).copy_(scores[name]) for name, w in weights.items()}
    optimizer = SGD(
        list(ours.values()), lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True
    )
    return Search(copied, weights, ours, optimizer, lr)


@torch.no_grad()
def wear_(search: Search, picked: Mask) -> None:
    """Give the copy its weights times a mask, in place."""
    for name, weight in search.weights.items():
        torch.mul(weight, picked[name], out=search.model.get_parameter(name))


def straight_through(search: Search) -> dict[str, Tensor]:
    """Return the gradient of the scores, as if a weight were multiplied by its score itself.

    With v = w m(s) that is w dL/dv (Bengio et al. 2013: dm/ds taken as 1), for weights that are
    picked and for those that are not. Takes the gradients of the copy, in place.
    """
    gradients = {n: gradient_of(search.model.get_parameter(n)) for n in search.weights}
    torch._foreach_mul_(list(gradients.values()), list(search.weights.values()))
    return gradients


def gradient_of(parameter: nn.Parameter) -> Tensor:
    """Return the gradient of a parameter: 0 for one that the loss does not see."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def update_(search: Search, gradients: Mapping[str, Tensor], step: int, total: int) -> None:
    """Move the scores by update number `step` of `total`, in place; the rate falls as a cosine.

    Raises DivergedError as soon as it sees a score that is not finite.
    """
    for group in search.optimizer.param_groups:
        group["lr"] = search.lr * (1 + math.cos(math.pi * (step - 1) / total)) / 2
    for name, score in search.scores.items():
        score.grad = gradients[name]
    search.optimizer.step()
    on_cpu = next(iter(search.scores.values())).device.type == "cpu"
    if on_cpu or step % CHECK_EVERY == 0 or step == total:
        check_finite(search.scores, step)


def steps(
    model: nn.Module,
    task: Task,
    seed: int,
    total: int,
    optimizer: torch.optim.Optimizer,
    kept: Mapping[str, Tensor],
) -> Iterator[int]:
    """Take `total` batches, yielding 1, 2, ... when the gradients of a batch lie in `model`.

    The global generator is given back as found. `kept` are the tensors that the search changes in
    place beside those of the model and the optimizer: they are saved now and then, and put back as
    they were when the search goes on, which then begins with a later number.
    """
    memory = getattr(task, "memory", None)
    kept = {f"model/{name}": t for name, t in model.state_dict().items()} | dict(kept)
    restore_(task, {})
    first = memory.recall(kept, optimizer, task) if memory else 0

    def pause(step: int) -> None:
        if memory:
            memory.keep(step, kept, optimizer, task)
        signals.leave_if_asked()

    devices = [task.device] if task.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        pause(first)
        for step, _ in passes(model, task, seed, first, total):
            yield step + 1
            if step + 1 < total:
                pause(step + 1)


def kept(search: Search) -> dict[str, Tensor]:
    """Return the tensors that a search changes in place, by name."""
    scores = {f"scores/{name}": score for name, score in search.scores.items()}
    return scores | {f"weights/{name}": weight for name, weight in search.weights.items()}


def check_finite(scores: Scores, step: int) -> None:
    """Raise DivergedError where a score is no finite number."""
    if not bool(torch.stack([s.sum() for s in scores.values()]).isfinite().all()):
        raise DivergedError(
            f"prune.criterion: a score is not finite after {step} steps of its training; lower "
            "the learning rate (prune.criterion.lr=...)"
        )


def finished(scores: Scores, mask: Mask) -> Scores:
    """Return scores as the allocation takes them: float32, contiguous, where the mask lies."""
    return {n: scores[n].detach().to(m.device, torch.float32).contiguous() for n, m in mask.items()}

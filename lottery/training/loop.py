"""Train: the loop over steps."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lottery.terms.mask import Mask
from lottery.terms.parts import Parts, Recipe, Update
from lottery.terms.step import Step, parse
from lottery.terms.task import Task
from lottery.terms.ticket import State, Ticket
from lottery.training.held import Pruned, add_slimming_, bn_scales, forget_pruned_
from lottery.training.passes import passes

LOWER = 0.5  # what a rollback multiplies the learning rate by


class Back(NamedTuple):
    """Where a rollback goes: the state at the last row of the curve, and the rows until then."""

    state: State
    rows: int


@dataclass
class Training:
    """A level on its way: what changes with every step, and what does not."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    task: Task
    parts: Parts
    ticket: Ticket
    recipe: Recipe
    seed: int
    total: Step
    mask: Mask
    held: dict[str, Tensor]  # what pruned weights are held at instead of 0; zeros where kept
    bases: list[float]  # the learning rate of each group of parameters, before any schedule
    step: int
    update: Update
    loss_sum: Tensor  # float64, since the last row of the curve
    broken: Tensor  # int64: the first step after which a number was not finite; 0 = none
    moved: bool = False  # whether the mask has left that of the ticket
    loss_count: int = 0
    seconds: float = 0.0  # in steps, evaluation apart
    evaluating: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    saved: dict[str, str] = field(default_factory=dict)  # file name -> sha256 of a state kept
    back: Back | None = None  # kept where the recipe says train.on_nan=rollback
    lowered: list[int] = field(default_factory=list)  # steps from which the rate is LOWER as high
    undone: int = 0  # steps that rollbacks took back
    drift: list[str] = field(default_factory=list)  # how the environment changed on the way


def steps(training: Training, stop: int) -> Iterator[int]:
    """Train up to step `stop`, yielding after each update the number of updates done.

    Gradients of pruned weights are zeroed before anything reads them: their
    momentum stays 0 and the weights stay +0.0, where multiplying weights would leave -0.0. A step
    that moves the mask (dynamic sparse training) does so in place of its update.
    """
    model, optimizer, task = training.model, training.optimizer, training.task
    cast = precision(training.recipe, task.device)
    pruned = layers_pruned(training)
    scales = bn_scales(model) if training.recipe.slimming else []
    trained = [p for p in model.parameters() if p.requires_grad]
    model.train()
    for step, loss in passes(model, task, training.seed, training.step, stop, cast):
        set_rate_(training, step)
        if move_mask_(training, pruned.weights, step):
            pruned = layers_pruned(training)
        else:
            if scales:
                add_slimming_(scales, training.recipe.slimming)
            pruned.mask_gradients_()
            if training.recipe.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), training.recipe.clip)
            optimizer.step()
            pruned.restore_()
        training.loss_sum += loss.detach()
        training.loss_count += 1
        training.step = step + 1
        note_broken_(training, trained, loss)
        yield training.step


@torch.no_grad()
def note_broken_(training: Training, trained: list[nn.Parameter], loss: Tensor) -> None:
    """Note the first step after which the loss or a weight is not finite, in place.

    Nothing is asked of a GPU, which need not be waited for.
    """
    if training.recipe.on_nan == "ignore":
        return
    sizes = torch._foreach_norm(trained)  # type: ignore[arg-type]
    total = torch.stack([*sizes, loss.detach().float()]).sum()
    if total.device.type == "cpu":
        if not math.isfinite(total) and not training.broken:
            training.broken.fill_(training.step)
        return
    first = (training.broken == 0) & ~total.isfinite()
    training.broken += first * training.step


def layers_pruned(training: Training) -> Pruned:
    """Return the layers that have pruned weights, ready for what every step does to them."""
    return Pruned.of(training.model, training.mask, training.held)


def move_mask_(training: Training, weights: dict[str, nn.Parameter], step: int) -> bool:
    """Let the mask move where this step is one to move it, in place; say whether it was.

    Every layer keeps its count. What is dropped becomes 0.0 and loses its momentum; what grows
    starts at 0.0 without one. Where pruned weights are held the mask stays.
    """
    if not weights or training.held:
        return False
    now = Step(step, training.total.steps_per_epoch)
    mask = {name: training.mask[name] for name in weights}
    after = training.update(mask, weights, now, training.total, training.seed)
    if after is None:
        return False
    for name in weights:
        if int(after[name].sum()) != int(mask[name].sum()):
            raise AssertionError(f"moving the mask changed how many weights {name} keeps")
    training.mask |= after
    training.moved = True
    forget_pruned_(training.optimizer, weights, training.mask)
    return True


def rate(recipe: Recipe, total: Step, step: int) -> float:
    """Return the learning rate's multiplier at a step: schedule * warm-up.

    Warm-up is linear from 0, as OpenLTH's. Past the end of training the rate stays what it was.
    """
    warmup = parse(recipe.warmup, total.steps_per_epoch, total.iteration).iteration
    last = Step(min(step, total.iteration - 1), total.steps_per_epoch)
    return (min(1.0, step / warmup) if warmup else 1.0) * recipe.lr(last, total)


def rate_at(training: Training, step: int) -> float:
    """Return the multiplier at a step of a training, which its rollbacks have lowered."""
    lower = LOWER ** sum(begun <= step for begun in training.lowered)
    return rate(training.recipe, training.total, step) * lower


def set_rate_(training: Training, step: int) -> None:
    """Set the learning rate of a step, in place."""
    multiplier = rate_at(training, step)
    for group, base in zip(training.optimizer.param_groups, training.bases, strict=True):
        group["lr"] = base * multiplier


def precision(recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the context of the forward pass."""
    if recipe.precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()

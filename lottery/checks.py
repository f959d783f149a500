"""Check the values of a run against each other before anything is written."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from lottery import mask as masks
from lottery import seeds
from lottery.errors import UsageError
from lottery.levels import Run, Wish
from lottery.parts import Ticket
from lottery.step import Span, Step, parse
from lottery.task import Task
from lottery.train import Pause, prepare


def validate(run: Run) -> None:
    """Raise UsageError for values that cannot go together; nothing has been written yet."""
    parts, wish = run.parts, Wish(run.length)
    end = run.length.iteration
    for name, at in (
        ("evaluate_every", parts.recipe.evaluate_every),
        ("train.warmup", parts.recipe.warmup),
    ):
        step = parse(at, run.length.steps_per_epoch, end, name)
        if name == "evaluate_every" and step.iteration < 1:
            raise UsageError(f"{name}={at} is no length; write 1ep or 500it")
    Pause(run.checkpoint_every, run.task.steps_per_epoch)
    training = prepare(parts, run.task, Ticket(run.initial.weights, run.dense, Span(0, end)), 0)
    try_model(training.model, run.task)
    with named("train.lr"):
        parts.recipe.lr(Step(0, run.length.steps_per_epoch), run.length)
    with named("rewind"):
        _, span = parts.rewind(wish)
    with named("prune.at"):
        scored = wish.step(parts.pruning.at).iteration
    asked = {"rewind": wish.asked, "prune.at": {scored}}
    for name, steps in asked.items():
        if max(steps, default=0) > end:
            raise UsageError(
                f"{name}: step {max(steps)} is after the end of training, "
                f"{end} steps ({run.length}); choose an earlier one"
            )
    if span.start >= span.stop:
        raise UsageError(
            f"rewind: from step {span.start} to {span.stop} there is nothing left to "
            "train; rewind to an earlier step"
        )
    check_densities(run)
    if parts.levels:
        scores = {name: m.float() for name, m in run.dense.items()}
        parts.pruning.allocation(scores, run.dense, parts.schedule(1))
    for name, branch in parts.branches.items():
        branch(Ticket({}, run.dense, span), wish, seeds.generator(name))
    wanted = parts.branch_levels
    if wanted is not None and (min(wanted, default=0) < 1 or min(wanted) > parts.levels):
        raise UsageError(
            f"branch_levels={list(wanted)} names no pruned level of this run; they are 1 to "
            f"{parts.levels} (those after it wait until more levels are asked for)"
        )


@contextlib.contextmanager
def named(setting: str) -> Iterator[None]:
    """Let an error of a component say which setting it is about."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{setting}: {error}") from error


def try_model(model: nn.Module, task: Task) -> None:
    """Raise UsageError unless the model takes the task's examples."""
    try:
        with torch.no_grad():
            shape = model.eval()(torch.zeros(2, *task.input_shape, device=task.device)).shape
    except (RuntimeError, ValueError) as error:
        size = "x".join(map(str, task.input_shape))
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"model: it cannot take images of {size} ({reason}); choose another model or dataset"
        ) from error
    if tuple(shape) != (2, task.outputs):
        raise UsageError(f"model: gives {tuple(shape)} for two examples of {task.outputs} classes")


def check_densities(run: Run) -> None:
    """Raise UsageError for densities that rise, leave (0, 1] or empty the net."""
    parts, total = run.parts, masks.total(run.dense)
    before = 1.0
    if parts.schedule(0) != 1:
        raise UsageError(f"schedule: level 0 is the dense net, not density {parts.schedule(0):g}")
    for index in range(1, parts.levels + 1):
        density = parts.schedule(index)
        if density > 1:
            raise UsageError(
                f"schedule: level {index} has density {density:.4g}; the dense net's "
                "is 1, and pruning cannot add to it"
            )
        if density <= 0 or masks.count(density, run.dense) < 1:
            raise UsageError(
                f"schedule: level {index} has density {density:.4g}, which keeps "
                f"{max(0, round(density * total))} of {total} weights; ask for fewer "
                "levels or a slower schedule"
            )
        if parts.pruning.nested and density > before:
            raise UsageError(
                f"schedule: level {index} has density {density:.4g}, above the "
                f"{before:.4g} of the level before; order them or set "
                "prune.nested=false"
            )
        before = density

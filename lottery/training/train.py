"""Train one ticket: its curve, the states to keep, its checkpoints."""

import math
import time

import torch

from lottery.errors import DivergedError
from lottery.machine import signals
from lottery.nets.graph import evaluating
from lottery.progress.bars import Progress
from lottery.storage import disk
from lottery.storage.checkpoints import Checkpoints
from lottery.storage.store import Shelf
from lottery.storage.tensors import all_finite
from lottery.terms import mask as masks
from lottery.terms.due import Pause
from lottery.terms.parts import Parts
from lottery.terms.snapshots import pack, state_file
from lottery.terms.step import Step, parse
from lottery.terms.task import Task
from lottery.terms.task_checks import measures
from lottery.terms.ticket import State, Ticket
from lottery.training.loop import Training, precision, set_rate_, steps
from lottery.training.resume import (
    check_broken,
    checkpoint,
    diverged,
    keep_row,
    resume,
    rolled_back,
    snapshot,
    sound,
)
from lottery.training.start import prepare

CHECK_EVERY = 100  # steps between looks at what a GPU has noted; the CPU is asked at every step


def train(
    parts: Parts,
    task: Task,
    ticket: Ticket,
    seed: int,
    saves: set[int],
    shelf: Shelf,
    pause: Pause,
    watch: Progress,
    strict: bool = False,
) -> Training:
    """Train a ticket to the end of its span, going on from a checkpoint where there is one.

    Writes the states of the steps in `saves` to `shelf`. Raises DivergedError where a number is
    not finite and the recipe does not say how to go on, Stopped after a signal, when a checkpoint
    has been written, and with `strict` UsageError for a checkpoint of another environment.
    """
    with Checkpoints(shelf.path) as checkpoints:
        start = prepare(parts, task, ticket, seed)
        training = resume(start, checkpoints, watch, strict)
        watch.begin(training.step - ticket.span.start, ticket.span.stop - ticket.span.start, task)
        while True:
            try:
                advance(training, saves, shelf, checkpoints, pause, watch)
                check_end(training)
                return training
            except DivergedError as error:
                training = rolled_back(training, error)
                said = f"{error}; going back to step {training.step} at a lower learning rate"
                watch.warn(said, "diverged", watch.index, watch.branch)
                watch.back(training.step - ticket.span.start)


def advance(
    training: Training,
    saves: set[int],
    shelf: Shelf,
    checkpoints: Checkpoints,
    pause: Pause,
    watch: Progress,
) -> None:
    """Train to the end of the span, with rows, states and checkpoints on the way; in place."""
    start, stop = training.ticket.span.start, training.ticket.span.stop
    size, end = training.task.steps_per_epoch, training.total.iteration
    every = parse(training.recipe.evaluate_every, size, end)
    pause.start(training.step)
    if row_due(training, every.iteration):
        set_rate_(training, max(start, training.step - 1))
        record(training, watch)
    on_cpu = training.task.device.type == "cpu"
    clock = time.perf_counter()
    for step in steps(training, stop):
        watch.advance()
        due = row_due(training, every.iteration)
        pausing = pause.due(step) or signals.pending()
        idle = not (due or pausing or step in saves)
        if on_cpu or not idle or step % CHECK_EVERY == 0:
            check_broken(training)
        if idle:
            continue
        training.seconds += time.perf_counter() - clock
        if step in saves and step != stop:
            save(training, shelf)
        if signals.pending() and step != stop:  # before an evaluation, which may take minutes
            checkpoint(training, checkpoints)
            checkpoints.settle()
            signals.leave_if_asked()
        if due:
            record(training, watch)
        if pausing and step != stop:
            checkpoint(training, checkpoints)
        clock = time.perf_counter()


def row_due(training: Training, every: int) -> bool:
    """Say whether the curve lacks a row at this step: at the start, the end, and `every` steps.

    A training that was stopped before its evaluation has that still to do.
    """
    step, span = training.step, training.ticket.span
    if training.curve and training.curve[-1]["step"] == step:
        return False
    return step in (span.start, span.stop) or step % every == 0


def save(training: Training, shelf: Shelf) -> None:
    """Write the state at this step for the levels that want it; one not sound is left out."""
    state = snapshot(training)
    if sound(training, state):
        name = state_file(training.step)
        training.saved[name] = shelf.write_tensors(name, *pack(state))


def check_end(training: Training) -> None:
    """Raise DivergedError for a weight that is not finite, AssertionError for one that moved."""
    weights, ticket = training.model.state_dict(), training.ticket
    if not all_finite(weights):
        if training.recipe.on_nan == "ignore":  # a gradient of NaN is NaN where it is pruned, too
            return
        raise diverged(training.step, "a weight")
    if ticket.held:
        for name, keep in ticket.mask.items():
            if not torch.equal(weights[name].cpu()[~keep], ticket.weights[name][~keep]):
                raise AssertionError(f"pruned weights of {name} were to be held, and have moved")
    else:
        masks.check_zero(weights, training.mask)


def record(training: Training, watch: Progress) -> None:
    """Append a row to the curve: losses and metrics at this step."""
    clock = time.perf_counter()
    step = training.step
    seen = training.loss_count
    row = {
        "step": step,
        "epoch": round(step / training.task.steps_per_epoch, 6),
        "lr": float(training.optimizer.param_groups[0]["lr"]),
        "train_loss": float(training.loss_sum) / seen if seen else math.nan,
    }
    for split in ("val", "test"):
        if training.task.size(split):
            row |= {f"{split}_{key}": value for key, value in evaluate(training, split).items()}
    training.loss_sum.zero_()
    training.loss_count = 0
    training.curve.append(row)
    keep_row(training)
    training.evaluating += time.perf_counter() - clock
    watch.row(training.curve)


def evaluate(training: Training, split: str) -> dict[str, float]:
    """Return loss and metrics over a split, in the precision of the training.

    The net is in evaluation mode and then as before, whether the task sees to that or not.
    """
    task, model = training.task, training.model
    with precision(training.recipe, task.device), evaluating(model):
        return measures(task, task.evaluate(model, split), split)


def replay(
    start: Training,
    to: Step,
    checkpoints: Checkpoints,
    pause: Pause,
    watch: Progress,
    strict: bool,
) -> State:
    """Return the state at step `to` of a level that did not keep it: the same bits again.

    `start` is the nearest state that there is; one that a kill has left is nearer.
    """
    training = resume(start, checkpoints, watch, strict)
    pause.start(training.step)
    for step in steps(training, to.iteration):
        if (pause.due(step) or signals.pending()) and step != to.iteration:
            disk.make_folder(checkpoints.folder)
            checkpoint(training, checkpoints)
            if signals.pending():
                checkpoints.settle()
                signals.leave_if_asked()
    return snapshot(training)

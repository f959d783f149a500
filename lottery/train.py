"""Train one ticket: the loop over steps, its curve, its checkpoints."""

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lottery import mask as masks
from lottery import seeds, signals
from lottery.errors import DivergedError, UsageError
from lottery.live import Pruned, add_slimming_, bn_scales, forget_pruned_, held_values
from lottery.mask import Mask
from lottery.parts import Parts, Recipe, State, Ticket, Update
from lottery.pause import Pause
from lottery.progress import Progress
from lottery.snapshots import load_optimizer_, optimizer_tensors, pack, state_file, unpack
from lottery.step import Step, parse
from lottery.store import Shelf
from lottery.task import Task, zero_sum

CHECK_EVERY = 100  # steps between looks at whether the loss is still finite


@dataclass
class Training:
    """A level on its way: what changes with every step, and what does not."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    task: Task
    recipe: Recipe
    seed: int
    total: Step
    mask: Mask
    held: dict[str, Tensor]  # what pruned weights are held at instead of 0; zeros where kept
    bases: list[float]  # the learning rate of each group of parameters, before any schedule
    step: int
    update: Update
    loss_sum: Tensor  # float64, since the last row of the curve
    moved: bool = False  # whether the mask has left that of the ticket
    loss_count: int = 0
    seconds: float = 0.0  # in steps, evaluation apart
    evaluating: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    saved: dict[str, str] = field(default_factory=dict)  # file name -> sha256 of a state kept


def steps(training: Training, stop: int) -> Iterator[int]:
    """Train up to step `stop`, yielding after each update the number of updates done.

    Order, augmentation and dropout of a step are functions of (seed, step), so it does not matter
    where one starts. Gradients of pruned weights are zeroed before anything reads them: their
    momentum stays 0 and the weights stay +0.0, where multiplying weights would leave -0.0. A step
    that moves the mask (dynamic sparse training) does so in place of its update.
    """
    model, optimizer, task = training.model, training.optimizer, training.task
    cast = precision(training.recipe, task.device)
    pruned = layers_pruned(training)
    scales = bn_scales(model) if training.recipe.slimming else []
    batches = None
    model.train()
    for step in range(training.step, stop):
        epoch, position = divmod(step, task.steps_per_epoch)
        if batches is None or position == 0:
            batches = task.batches("train", epoch, training.seed, position)
        batch = next(batches)
        seeds.seed_global(training.seed, "dropout", step)
        set_rate_(training, step)
        with cast:
            loss = task.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
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
        yield training.step


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


def rate_at(training: Training, step: int) -> float:
    """Return the learning rate's multiplier at a step: schedule * warm-up.

    Warm-up is linear from 0, as OpenLTH's. Past the end of training the rate stays what it was.
    """
    recipe, total = training.recipe, training.total
    warmup = parse(recipe.warmup, total.steps_per_epoch, total.iteration).iteration
    last = Step(min(step, total.iteration - 1), total.steps_per_epoch)
    return (min(1.0, step / warmup) if warmup else 1.0) * recipe.lr(last, total)


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


def prepare(
    parts: Parts, task: Task, ticket: Ticket, seed: int, state: State | None = None
) -> Training:
    """Return a training of `ticket` at its start, or at `state`."""
    model = build(parts, task)
    model.load_state_dict(ticket.weights if state is None else state.weights)
    model.to(task.device)
    if getattr(task, "channels_last", False):
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    now = (state and state.mask) or ticket.mask
    mask = {name: now[name].to(task.device) for name in ticket.mask}  # in the model's order
    if not ticket.held:
        masks.apply_(model, mask)
    parameters = dict(model.named_parameters())
    for name in ticket.frozen:
        parameters[name].requires_grad_(False)
    optimizer = parts.recipe.optimizer([p for p in parameters.values() if p.requires_grad])
    if state is not None and state.optimizer is not None:
        load_optimizer_(optimizer, state.optimizer)
    return Training(
        model=model,
        optimizer=optimizer,
        task=task,
        recipe=parts.recipe,
        seed=seed,
        total=length(parts, task),
        mask=mask,
        held=held_values(ticket, parameters),
        bases=[group["lr"] for group in optimizer.param_groups],
        step=ticket.span.start if state is None else state.step.iteration,
        loss_sum=zero_sum(task.device),
        update=parts.pruning.update,
        moved=state is not None and state.mask is not None,
    )


def build(parts: Parts, task: Task, seed: int = 0) -> nn.Module:
    """Return a new model on the CPU, its initial weights drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return parts.model(task)


def length(parts: Parts, task: Task) -> Step:
    """Return the length of a whole training."""
    size = task.steps_per_epoch
    total = parse(parts.recipe.length, size, where="train.length")
    if total.iteration < 1:
        raise UsageError("train.length: training needs one step or more, like 15ep or 500it")
    return total


def train(
    parts: Parts,
    task: Task,
    ticket: Ticket,
    seed: int,
    saves: set[int],
    shelf: Shelf,
    pause: Pause,
    watch: Progress,
) -> Training:
    """Train a ticket to the end of its span, going on from a checkpoint where there is one.

    Writes the states of the steps in `saves` to `shelf`. Raises DivergedError as soon as it sees
    a loss that is not finite, and Stopped after a signal, when a checkpoint has been written.
    """
    training = resume(parts, task, ticket, seed, shelf, watch)
    start, stop = ticket.span.start, ticket.span.stop
    every = parse(parts.recipe.evaluate_every, task.steps_per_epoch, training.total.iteration)
    pause.start(training.step)
    watch.begin(training.step - start, stop - start, task)
    if training.step == start and not training.curve:
        set_rate_(training, start)
        record(training, watch)
    clock = time.perf_counter()
    for step in steps(training, stop):
        watch.advance()
        due = step % every.iteration == 0 or step == stop
        pausing = pause.due(step) or signals.pending()
        if not (due or pausing or step in saves or step % CHECK_EVERY == 0):
            continue
        training.seconds += time.perf_counter() - clock
        check_finite(training)
        if due:
            record(training, watch)
        if step in saves and step != stop:
            name = state_file(step)
            training.saved[name] = shelf.write_tensors(name, *pack(snapshot(training)))
        if pausing and step != stop:
            checkpoint(training, shelf)
            signals.leave_if_asked()
        clock = time.perf_counter()
    check_end(training, ticket)
    return training


def check_end(training: Training, ticket: Ticket) -> None:
    """Raise DivergedError for a weight that is not finite, AssertionError for one that moved."""
    weights = training.model.state_dict()
    if not all(bool(torch.isfinite(w).all()) for w in weights.values()):
        raise diverged(training, "a weight")
    if ticket.held:
        for name, keep in ticket.mask.items():
            if not torch.equal(weights[name].cpu()[~keep], ticket.weights[name][~keep]):
                raise AssertionError(f"pruned weights of {name} were to be held, and have moved")
    else:
        masks.check_zero(weights, training.mask)


def check_finite(training: Training) -> None:
    """Raise DivergedError where the training loss is no longer a finite number."""
    if not math.isfinite(float(training.loss_sum)):
        raise diverged(training, "the loss")


def diverged(training: Training, what: str) -> DivergedError:
    """Return the error for a number that is not finite."""
    return DivergedError(
        f"training diverged: {what} is not finite at step {training.step}; lower the learning "
        "rate (train.optimizer.lr=...) or limit the gradient (train.clip=1.0)"
    )


def record(training: Training, watch: Progress) -> None:
    """Append a row to the curve: losses and accuracies at this step."""
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
    training.evaluating += time.perf_counter() - clock
    watch.row(row, training)


def evaluate(training: Training, split: str) -> dict[str, float]:
    """Return loss and accuracy over a split, in the precision of the training."""
    with precision(training.recipe, training.task.device):
        return training.task.evaluate(training.model, split)


def snapshot(training: Training) -> State:
    """Return the state at this step, copied to the CPU."""
    step = Step(training.step, training.task.steps_per_epoch)
    weights = {k: v.detach().cpu().clone() for k, v in training.model.state_dict().items()}
    mask = {n: m.cpu() for n, m in training.mask.items()} if training.moved else None
    return State(step, weights, optimizer_tensors(training.optimizer), mask)


def checkpoint(training: Training, shelf: Shelf) -> None:
    """Write all that the rest of the level depends on."""
    tensors, about = pack(snapshot(training))
    tensors["loss_sum"] = training.loss_sum
    notes = {
        "loss_count": training.loss_count,
        "seconds": training.seconds,
        "evaluating": training.evaluating,
        "curve": training.curve,
        "saved": training.saved,
    }
    shelf.write_checkpoint(training.step, tensors, about | notes)


def resume(
    parts: Parts, task: Task, ticket: Ticket, seed: int, shelf: Shelf, watch: Progress
) -> Training:
    """Return the training at its newest good checkpoint, or at its start."""
    found = shelf.read_checkpoint(watch.warn)
    if found is None:
        return prepare(parts, task, ticket, seed)
    tensors, about = found
    loss_sum = tensors.pop("loss_sum")
    state = unpack(tensors, Step(about.pop("step"), task.steps_per_epoch))
    training = prepare(parts, task, ticket, seed, state)
    training.loss_sum = loss_sum.to(task.device)
    for name, value in about.items():
        setattr(training, name, value)
    return training


def replay(
    parts: Parts, task: Task, ticket: Ticket, seed: int, nearest: State | None, to: Step
) -> State:
    """Return the state at step `to` of a level that did not keep it: the same bits again."""
    training = prepare(parts, task, ticket, seed, nearest)
    for _ in steps(training, to.iteration):
        if signals.pending():
            signals.leave_if_asked()
    return snapshot(training)

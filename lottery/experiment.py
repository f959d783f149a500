"""Run the experiment: the loop over levels."""

import contextlib
import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lottery import mask as masks
from lottery import seeds, signals, store
from lottery.errors import UsageError
from lottery.mask import Mask
from lottery.parts import Parts, State, Ticket
from lottery.progress import Progress
from lottery.prune import prune
from lottery.step import Span, Step, parse
from lottery.store import Shelf
from lottery.task import Task
from lottery.train import (
    Pause, Training, build, length, pack, prepare, replay, state_file, train, unpack,
)

FORMAT = 1  # of the store; a change makes every key new


@dataclass(frozen=True)
class Run:
    """One config and one replicate, with the place where it lives."""

    parts: Parts
    task: Task
    outputs: Path
    folder: Path
    identity: str  # run id and replicate: who trained a level first
    checkpoint_every: str
    watch: Progress
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))

    @cached_property
    def data_seed(self) -> int:
        return seeds.derive("data", self.parts.replicate)

    @cached_property
    def initial(self) -> State:
        """The weights of step 0."""
        return self.fresh("init")

    def fresh(self, *words: int | str) -> State:
        """Return a draw of the initial weights of this replicate."""
        model = build(self.parts, self.task, seeds.derive(*words, self.parts.replicate))
        weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        return State(Step(0, self.task.steps_per_epoch), weights)

    @cached_property
    def dense(self) -> Mask:
        """The mask of level 0."""
        how = self.parts.pruning
        return masks.dense(build(self.parts, self.task), how.include, how.exclude)

    @property
    def length(self) -> Step:
        return length(self.parts, self.task)


COUNTS = ("trained", "shared", "already there")


@dataclass(frozen=True)
class Level:
    """A trained level: a place in the store, read as needed."""

    run: Run
    index: int
    shelf: Shelf

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return self.shelf.manifest()

    @cached_property
    def ticket(self) -> Ticket:
        tensors, about = self.shelf.read_tensors("ticket.safetensors")
        weights = {k.split("/", 1)[1]: v for k, v in tensors.items() if k.startswith("weights/")}
        bits = {k.split("/", 1)[1]: v for k, v in tensors.items() if k.startswith("mask/")}
        order = {name: bits[name] for name in about["layers"]}
        mask = masks.unpack(order, {name: weights[name].shape for name in order})
        return Ticket(weights, mask, Span(*about["span"]))

    @cached_property
    def end(self) -> State:
        tensors, _ = self.shelf.read_tensors("end.safetensors")
        return unpack(tensors, Step(self.ticket.span.stop, self.run.task.steps_per_epoch))

    def state(self, step: Step) -> State:
        """Return the state at a step; one that nobody kept is replayed from the nearest before."""
        span = self.ticket.span
        if step.iteration <= span.start:
            return State(step, self.ticket.weights)
        if step.iteration >= span.stop:
            return self.end
        name = state_file(step.iteration)
        if name not in self.shelf.manifest()["files"]:
            self.keep(step)
        return unpack(self.shelf.read_tensors(name)[0], step)

    def keep(self, step: Step) -> None:
        """Replay the level up to a step and add that state to the store."""
        with self.shelf.lock():
            files = self.shelf.manifest()["files"]
            name = state_file(step.iteration)
            if name in files:
                return
            kept = [int(f.split("it.")[0]) for f in files if f.endswith("it.safetensors")]
            before = max((k for k in kept if k < step.iteration), default=None)
            nearest = None if before is None else self.state(Step(before, step.steps_per_epoch))
            run = self.run
            run.watch.say(f"level {self.index}: replaying up to step {step} (nobody kept it)")
            state = replay(run.parts, run.task, self.ticket, run.data_seed, nearest, step)
            self.shelf.add_file(name, self.shelf.write_tensors(name, *pack(state)))


class Chain:
    """The states that a level is made from: level 0's, and those of the level it prunes."""

    def __init__(self, run: Run, index: int, origin: Level, parent: Level) -> None:
        self.run, self.index, self.origin, self.parent = run, index, origin, parent
        self.length = run.length

    def step(self, at: str) -> Step:
        return parse(at, self.length.steps_per_epoch, self.length.iteration)

    def __call__(self, at: str) -> State:
        if at == "end":
            return self.parent.end
        if at == "fresh":
            return self.run.fresh("reinit", self.index)
        if at == "rewind":
            return self.run.parts.rewind(self)[0]
        return self.origin.state(self.step(at))


class Wish:
    """Answer as Chain does, but only note what a rewind will ask for."""

    def __init__(self, length: Step) -> None:
        self.length = length
        self.asked: set[int] = set()

    def step(self, at: str) -> Step:
        return parse(at, self.length.steps_per_epoch, self.length.iteration)

    def __call__(self, at: str) -> State:
        if at in ("end", "fresh", "rewind"):
            return State(self.length, {})
        step = self.step(at)
        self.asked.add(step.iteration)
        return State(step, {})


def run_levels(run: Run) -> list[dict[str, Any]]:
    """Run every level that is not there yet: train, prune, rewind; return the rows of metrics.csv.

    The caller holds the run's lock and has called `validate`.
    """
    origin: Level | None = None
    parent: Level | None = None
    rows: list[dict[str, Any]] = []
    for index in range(run.parts.levels + 1):
        signals.leave_if_asked()
        level = existing(run, index)
        if level is None:
            if origin is None or parent is None:
                ticket = Ticket(run.initial.weights, run.dense, Span(0, run.length.iteration))
            else:
                ticket = next_ticket(run, index, origin, parent)
            level = obtain(run, index, ticket)
        origin = origin or level
        rows.append(row(run, level))
        write_tables(run, rows)
        if run.parts.branches and in_branches(run, index) and parent is not None:
            run_branches(run, level, Chain(run, index, origin, parent if nested(run) else origin))
        parent = level
    return rows


def nested(run: Run) -> bool:
    return run.parts.pruning.nested


def next_ticket(run: Run, index: int, origin: Level, parent: Level) -> Ticket:
    """Return what level `index` trains: a mask from the scored state, weights from the rewind."""
    how = run.parts.pruning
    source = parent if how.nested else origin
    states = Chain(run, index, origin, source)
    before = source.ticket.mask if how.nested else run.dense
    scored = source.end if how.at == "end" else source.state(states.step(how.at))
    model = build(run.parts, run.task)
    model.load_state_dict(scored.weights)
    model.to(run.task.device)
    on_device = {name: m.to(run.task.device) for name, m in before.items()}
    seed = seeds.derive("prune", run.parts.replicate)
    mask = prune(model, on_device, run.parts.schedule(index), run.task, seed, how)
    state, span = run.parts.rewind(states)
    return ticket_of(state, {name: m.cpu() for name, m in mask.items()}, span)


def ticket_of(state: State, mask: Mask, span: Span) -> Ticket:
    """Return a ticket whose pruned weights are 0.0."""
    weights = dict(state.weights)
    for name, keep in mask.items():
        weights[name] = weights[name].masked_fill(~keep, 0.0)
    return Ticket(weights, mask, span)


def key_of(run: Run, ticket: Ticket) -> str:
    """Return the key of a trained level: a hash of all that its numbers follow from."""
    tensors = ticket.weights | {f"mask {k}": v for k, v in masks.pack(ticket.mask).items()}
    inputs = {
        "format": FORMAT,
        "ticket": store.tensor_digest(tensors),
        "span": [ticket.span.start, ticket.span.stop],
        "recipe": run.parts.recipe.settings,
        "model": run.parts.model_settings,
        "data": run.task.fingerprint,
        "seed": run.data_seed,
    }
    return store.digest(json.dumps(inputs, sort_keys=True).encode())[:32]


def obtain(run: Run, index: int, ticket: Ticket, branch: str = "") -> Level:
    """Return the trained level of a ticket: from the store, or trained here and now."""
    shelf = Shelf(run.outputs, key_of(run, ticket))
    name = place(index, branch)
    density = masks.kept(ticket.mask) / masks.total(ticket.mask)
    later = (run.parts.levels - index) * (ticket.span.stop - ticket.span.start)
    run.watch.level(index, density, later, branch)

    def waiting() -> None:
        run.watch.say(f"{name}: another run is training this very level; waiting to share it")

    with shelf.lock(waiting):
        if not shelf.complete:
            shelf.sweep()
            finish(run, ticket, shelf, work(run, index, ticket, shelf))
    level = Level(run, index, shelf)
    how = "trained" if level.manifest["trained_by"] == run.identity else "shared"
    run.counts[how] += 1
    store.link(run.folder / name, shelf.path)
    return level


def work(run: Run, index: int, ticket: Ticket, shelf: Shelf) -> Training:
    """Train a ticket on its shelf."""
    saves = wanted_states(run, index)
    pause = Pause(run.checkpoint_every, run.task.steps_per_epoch)
    args = (run.parts, run.task, ticket, run.data_seed, saves, shelf, pause, run.watch)
    return train(*args)


def wanted_states(run: Run, index: int) -> set[int]:
    """Return the steps at which later levels will want the state of level `index`."""
    wish = Wish(run.length)
    if index == 0:
        run.parts.rewind(wish)
    at = run.parts.pruning.at
    if at != "end" and (index == 0 or nested(run)):
        wish(at)
    return wish.asked - {0, run.length.iteration}


def finish(run: Run, ticket: Ticket, shelf: Shelf, training: Training) -> None:
    """Write what a trained level leaves, the manifest last."""
    bits = masks.pack(ticket.mask)
    tensors = {f"weights/{k}": v for k, v in ticket.weights.items()}
    tensors |= {f"mask/{k}": v for k, v in bits.items()}
    span = [ticket.span.start, ticket.span.stop]
    about = {"layers": list(ticket.mask), "span": span}
    end = {f"weights/{k}": v for k, v in training.model.state_dict().items()}
    files = dict(training.saved)
    files["ticket.safetensors"] = shelf.write_tensors("ticket.safetensors", tensors, about)
    files["end.safetensors"] = shelf.write_tensors("end.safetensors", end, {"step": span[1]})
    curve = table(training.curve)
    store.write(shelf.path / "curve.csv", curve)
    files["curve.csv"] = store.digest(curve)
    shelf.finish({
        "key": shelf.key,
        "format": FORMAT,
        "trained_by": run.identity,
        "files": files,
        "result": result(run, ticket, training),
        "layers": {n: [int(m.sum()), m.numel()] for n, m in ticket.mask.items()},
    })


def result(run: Run, ticket: Ticket, training: Training) -> dict[str, Any]:
    """Return the numbers of a trained level, as they stand in metrics.csv."""
    kept, total = masks.kept(ticket.mask), masks.total(ticket.mask)
    last = training.curve[-1]
    found = training.task.evaluate(training.model, "train")
    best = best_row(training.curve)
    steps = ticket.span.stop - ticket.span.start
    examples = steps / run.task.steps_per_epoch * run.task.size("train")
    return {
        "density": kept / total, "sparsity": 1 - kept / total, "compression": total / kept,
        "kept": kept, "total": total,
        "step": ticket.span.stop, "epoch": last["epoch"],
        "train_loss": found["loss"], "train_accuracy": found["accuracy"],
        **{k: last.get(k, math.nan) for k in
           ("val_loss", "val_accuracy", "test_loss", "test_accuracy")},
        "best_step": best.get("step", math.nan),
        "best_val_loss": best.get("val_loss", math.nan),
        "best_val_accuracy": best.get("val_accuracy", math.nan),
        "best_test_accuracy": best.get("test_accuracy", math.nan),
        "seconds": training.seconds + training.evaluating,
        "examples_per_second": examples / training.seconds if training.seconds else math.nan,
    }


def best_row(curve: list[dict[str, float]]) -> dict[str, float]:
    """Return the row of the lowest validation loss, the first of equals; {} without validation."""
    return min((r for r in curve if "val_loss" in r), key=lambda r: r["val_loss"], default={})


def existing(run: Run, index: int, branch: str = "") -> Level | None:
    """Return the level that this run already has, by its link; None where there is none."""
    key = store.follow(run.folder / place(index, branch))
    shelf = Shelf(run.outputs, key) if key else None
    if shelf is None or not shelf.complete:
        return None
    run.counts["already there"] += 1
    return Level(run, index, shelf)


def place(index: int, branch: str = "") -> str:
    """Return the name of a level's link in the run's folder."""
    return f"level_{index:02d}" + (f"_{branch}" if branch else "")


def in_branches(run: Run, index: int) -> bool:
    wanted = run.parts.branch_levels
    return index > 0 if wanted is None else index in wanted


def run_branches(run: Run, level: Level, states: Chain) -> None:
    """Train every branch of a level and write branches.csv."""
    for name, branch in run.parts.branches.items():
        signals.leave_if_asked()
        if existing(run, level.index, name) is None:
            draw = seeds.generator("branch", name, level.index, run.parts.replicate)
            state, mask, span = branch(level.ticket, states, draw)
            obtain(run, level.index, ticket_of(state, mask, span), name)
    rows = []
    for index in range(1, level.index + 1):
        for name in run.parts.branches:
            key = store.follow(run.folder / place(index, name))
            if key and in_branches(run, index):
                found = Level(run, index, Shelf(run.outputs, key))
                rows.append({"level": index, "branch": name} | row(run, found))
    store.write(run.folder / "branches.csv", table(rows))


def row(run: Run, level: Level) -> dict[str, Any]:
    """Return a level's row of metrics.csv."""
    manifest = level.manifest
    return {
        "level": level.index,
        **manifest["result"],
        "shared": manifest["trained_by"] != run.identity,
        "key": level.shelf.key,
    }


def write_tables(run: Run, rows: list[dict[str, Any]]) -> None:
    """Write metrics.csv and layers.csv whole, from what the store holds."""
    store.write(run.folder / "metrics.csv", table(rows))
    layers = []
    for entry in rows:
        manifest = Shelf(run.outputs, entry["key"]).manifest()
        for name, (kept, total) in manifest["layers"].items():
            layers.append({"level": entry["level"], "layer": name.removesuffix(".weight"),
                           "kept": kept, "total": total, "density": kept / total})
    store.write(run.folder / "layers.csv", table(layers))


def table(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as CSV; a number that there is not is an empty cell."""
    out = io.StringIO()
    columns = list(dict.fromkeys(key for entry in rows for key in entry))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for entry in rows:
        writer.writerow({k: "" if isinstance(v, float) and math.isnan(v) else v
                         for k, v in entry.items()})
    return out.getvalue().encode()


def validate(run: Run) -> None:
    """Raise UsageError for values that cannot go together; nothing has been written yet."""
    parts, wish = run.parts, Wish(run.length)
    end = run.length.iteration
    for name, at in (("evaluate_every", parts.recipe.evaluate_every),
                     ("train.warmup", parts.recipe.warmup)):
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
            raise UsageError(f"{name}: step {max(steps)} is after the end of training, "
                             f"{end} steps ({run.length}); choose an earlier one")
    if span.start >= span.stop:
        raise UsageError(f"rewind: from step {span.start} to {span.stop} there is nothing left to "
                         "train; rewind to an earlier step")
    check_densities(run)
    if parts.levels:
        scores = {name: m.float() for name, m in run.dense.items()}
        parts.pruning.allocation(scores, run.dense, parts.schedule(1))
    for name, branch in parts.branches.items():
        branch(Ticket({}, run.dense, span), wish, seeds.generator(name))
    for index in parts.branch_levels or ():
        if not 1 <= index <= parts.levels:
            raise UsageError(f"branch_levels: there is no pruned level {index}; they are 1 to "
                             f"{parts.levels}")


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
        raise UsageError(f"model: it cannot take images of {size} ({reason}); choose another "
                         "model or dataset") from error
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
            raise UsageError(f"schedule: level {index} has density {density:.4g}; the dense net's "
                             "is 1, and pruning cannot add to it")
        if density <= 0 or masks.count(density, run.dense) < 1:
            raise UsageError(f"schedule: level {index} has density {density:.4g}, which keeps "
                             f"{max(0, round(density * total))} of {total} weights; ask for fewer "
                             "levels or a slower schedule")
        if parts.pruning.nested and density > before:
            raise UsageError(f"schedule: level {index} has density {density:.4g}, above the "
                             f"{before:.4g} of the level before; order them or set "
                             "prune.nested=false")
        before = density



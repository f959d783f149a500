"""Make a ticket into a trained level: from the store where it is there, else by training it."""

import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lottery import mask as masks
from lottery import seeds, store
from lottery.mask import Mask
from lottery.parts import Parts, State, Ticket
from lottery.progress import Progress
from lottery.step import Span, Step, parse
from lottery.store import Shelf
from lottery.tables import table
from lottery.task import Task
from lottery.train import (
    Pause,
    Training,
    build,
    evaluate,
    length,
    pack,
    replay,
    state_file,
    train,
    unpack,
)

FORMAT = 1  # of the store; a change makes every key new
COUNTS = ("trained", "shared", "already there")


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

    def __init__(self, run: Run) -> None:
        self.run, self.length = run, run.length
        self.asked: set[int] = set()

    def step(self, at: str) -> Step:
        return parse(at, self.length.steps_per_epoch, self.length.iteration)

    def __call__(self, at: str) -> State:
        if at == "rewind":
            return self.run.parts.rewind(self)[0]
        if at in ("end", "fresh"):
            return State(self.length if at == "end" else Step(0, 1), {})
        step = self.step(at)
        self.asked.add(step.iteration)
        return State(step, {})


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
    later = trainings_after(run, index, branch) * (ticket.span.stop - ticket.span.start)
    run.watch.level(index, density, later, branch)

    def waiting() -> None:
        run.watch.say(f"{name}: another run is training this very level; waiting to share it")

    with shelf.lock(waiting):
        found = shelf.complete
        shelf.sweep()
        if not found:
            finish(run, ticket, shelf, work(run, index, ticket, shelf))
    level = Level(run, index, shelf)
    shared = level.manifest["trained_by"] != run.identity
    run.counts["shared" if shared else "already there" if found else "trained"] += 1
    store.link(run.folder / name, shelf.path)
    return level


def trainings_after(run: Run, index: int, branch: str) -> int:
    """Return how many levels and branches come after this one, for the time that is left."""
    names = list(run.parts.branches)
    here = len(names) - (names.index(branch) + 1 if branch else 0) if in_branches(run, index) else 0
    later = range(index + 1, run.parts.levels + 1)
    return here + sum(1 + len(names) * in_branches(run, level) for level in later)


def in_branches(run: Run, index: int) -> bool:
    """Say whether the branches are made of level `index`."""
    wanted = run.parts.branch_levels
    return bool(run.parts.branches) and (index > 0 if wanted is None else index in wanted)


def work(run: Run, index: int, ticket: Ticket, shelf: Shelf) -> Training:
    """Train a ticket on its shelf."""
    saves = wanted_states(run, index)
    pause = Pause(run.checkpoint_every, run.task.steps_per_epoch)
    args = (run.parts, run.task, ticket, run.data_seed, saves, shelf, pause, run.watch)
    return train(*args)


def wanted_states(run: Run, index: int) -> set[int]:
    """Return the steps at which later levels will want the state of level `index`."""
    wish = Wish(run)
    if index == 0:
        run.parts.rewind(wish)
    at = run.parts.pruning.at
    if at != "end" and (index == 0 or run.parts.pruning.nested):
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
    shelf.finish(
        {
            "key": shelf.key,
            "format": FORMAT,
            "trained_by": run.identity,
            "files": files,
            "result": result(run, ticket, training),
            "layers": {n: [int(m.sum()), m.numel()] for n, m in ticket.mask.items()},
        }
    )


def result(run: Run, ticket: Ticket, training: Training) -> dict[str, Any]:
    """Return the numbers of a trained level, as they stand in metrics.csv."""
    kept, total = masks.kept(ticket.mask), masks.total(ticket.mask)
    last = training.curve[-1]
    found = evaluate(training, "train")
    best = best_row(training.curve)
    steps = ticket.span.stop - ticket.span.start
    examples = steps / run.task.steps_per_epoch * run.task.size("train")
    return {
        "density": kept / total,
        "sparsity": 1 - kept / total,
        "compression": total / kept,
        "kept": kept,
        "total": total,
        "step": ticket.span.stop,
        "epoch": last["epoch"],
        "train_loss": found["loss"],
        "train_accuracy": found["accuracy"],
        **{
            k: last.get(k, math.nan)
            for k in ("val_loss", "val_accuracy", "test_loss", "test_accuracy")
        },
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

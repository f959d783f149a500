"""Make a ticket into a trained level: from the store where it is there, else by training it."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lottery import mask as masks
from lottery import store
from lottery.mask import Mask
from lottery.outcome import FORMAT, leave, variant_of
from lottery.parts import State, Ticket
from lottery.pause import Pause
from lottery.records import read_json
from lottery.runs import Run
from lottery.snapshots import pack, state_file, unpack
from lottery.states import Wish
from lottery.step import Span, Step
from lottery.store import Shelf
from lottery.train import Training, replay, train

BRANCHES = "branches.json"


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
        variant = about["variant"] | {"frozen": tuple(about["variant"]["frozen"])}
        return Ticket(weights, mask, Span(*about["span"]), **variant)

    @cached_property
    def mask(self) -> Mask:
        """The mask at the end of training: the ticket's, unless it moved meanwhile."""
        return mask_of(self.shelf)

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
            seed = run.data_seed(self.ticket.order)
            state = replay(run.parts, run.task, self.ticket, seed, nearest, step)
            self.shelf.add_file(name, self.shelf.write_tensors(name, *pack(state)))


def mask_of(shelf: Shelf) -> Mask:
    """Return the mask that a trained level ended with."""
    bits, about = shelf.read_tensors("mask.safetensors")
    shapes = {name: torch.Size(shape) for name, shape in about["shapes"].items()}
    return masks.unpack({name: bits[name] for name in shapes}, shapes)


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
        "seed": run.data_seed(ticket.order),
        "variant": variant_of(ticket),
        "update": None if every_weight_kept(ticket) else run.parts.pruning.update_settings,
    }
    return store.digest(json.dumps(inputs, sort_keys=True).encode())[:32]


def every_weight_kept(ticket: Ticket) -> bool:
    """Say whether the ticket is dense, so that there is no mask to move."""
    return all(bool(m.all()) for m in ticket.mask.values())


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
            leave(run, ticket, shelf, work(run, index, ticket, shelf))
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
    seed = run.data_seed(ticket.order)
    return train(run.parts, run.task, ticket, seed, saves, shelf, pause, run.watch)


def wanted_states(run: Run, index: int) -> set[int]:
    """Return the steps at which later levels will want the state of level `index`."""
    wish = Wish(run)
    if index == 0:
        run.parts.rewind(wish)
    at = run.parts.pruning.at
    if at != "end" and (index == 0 or run.parts.pruning.nested):
        wish(at)
    return wish.asked - {0, run.length.iteration}


def existing(run: Run, index: int, branch: str = "") -> Level | None:
    """Return the level that this run already has, by its link; None where there is none."""
    shelf = current(run.outputs, run.folder / place(index, branch))
    if shelf is None:
        return None
    run.counts["already there"] += 1
    return Level(run, index, shelf)


def current(outputs: Path, link: Path) -> Shelf | None:
    """Return the shelf behind a link; None where it is not complete or of another format."""
    key = store.follow(link)
    shelf = Shelf(outputs, key) if key else None
    if shelf is None or not shelf.complete or shelf.manifest()["format"] != FORMAT:
        return None
    return shelf


def branch_made(run: Run, level: Level, name: str) -> bool:
    """Say whether a level's branch was made with the settings that are asked for now."""
    made = read_json(run.folder / BRANCHES).get(place(level.index, name), {})
    return bool(made == {"of": level.shelf.key, "settings": run.parts.branch_settings[name]})


def note_branch(run: Run, level: Level, name: str) -> None:
    """Write down what the link of a branch is: of which level, with which settings."""
    noted = read_json(run.folder / BRANCHES)
    entry = {"of": level.shelf.key, "settings": run.parts.branch_settings[name]}
    store.write_json(run.folder / BRANCHES, noted | {place(level.index, name): entry})


def place(index: int, branch: str = "") -> str:
    """Return the name of a level's link in the run's folder."""
    return f"level_{index:02d}" + (f"_{branch}" if branch else "")

"""Make a ticket into a trained level: from the store where it is there, else by training it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from lottery.experiment.level import Level
from lottery.experiment.outcome import leave
from lottery.experiment.run import LockedRun, Run
from lottery.machine.environment import differences, fingerprint
from lottery.storage import links, store
from lottery.storage.checkpoints import Checkpoints
from lottery.storage.files import digest
from lottery.storage.records import place
from lottery.storage.store import Shelf
from lottery.terms import mask as masks
from lottery.terms.due import Pause
from lottery.terms.kept import FORMAT, variant_of
from lottery.terms.ticket import Ticket
from lottery.training.loop import Training
from lottery.training.resume import refuse_or_warn
from lottery.training.train import train


def key_of(run: Run, ticket: Ticket) -> str:
    """Return the key of a trained level: a hash of all that its numbers follow from.

    Of components from other packages the source is a part of it; what made the mask is not, since
    the mask itself is.
    """
    tensors = ticket.weights | {f"mask {k}": v for k, v in masks.pack(ticket.mask).items()}
    tensors |= {f"task {k}": v for k, v in ticket.memory.items()}
    dense = every_weight_kept(ticket)
    at_work = ("model", "dataset", "optimizer", "lr", *(() if dense else ("update",)))
    inputs = {
        "format": FORMAT,
        "ticket": store.tensor_digest(tensors),
        "span": [ticket.span.start, ticket.span.stop],
        "recipe": run.parts.recipe.settings,
        "model": run.parts.model_settings,
        "data": run.task.fingerprint,
        "seed": run.data_seed(ticket.order),
        "variant": variant_of(ticket),
        "update": None if dense else run.parts.pruning.update_settings,
        "code": {place: sha for place, sha in run.parts.code.items() if place in at_work},
    }
    return digest(json.dumps(inputs, sort_keys=True).encode())[:32]


def every_weight_kept(ticket: Ticket) -> bool:
    """Say whether the ticket is dense, so that there is no mask to move."""
    return all(bool(m.all()) for m in ticket.mask.values())


def whole(run: Run, ticket: Ticket) -> dict[str, Tensor]:
    """Return a ticket's weights where what is pruned is so under all names of a tied tensor."""
    masked = {name: ticket.weights[name] for name in ticket.mask}
    return ticket.weights | masks.everywhere(masked, run.names)


def obtain(
    locked: LockedRun, index: int, ticket: Ticket, branch: str = "", **follows: str
) -> Level:
    """Return the trained level of a ticket: from the store, or trained here and now.

    The run's manifest names it while its lock is held, so that nobody clears it away in between;
    `follows` is what the manifest says of a branch. What a rewind or a branch has done to a tied
    tensor under the mask's name is done under every name.
    """
    trainings, own = locked.run.settled.trainings, (index, branch)
    after = len(trainings) - trainings.index(own) - 1 if own in trainings else 0
    return shelved(locked, index, ticket, place(index, branch), branch, after, **follows)


def shelved(
    locked: LockedRun, index: int, ticket: Ticket, name: str, said: str, after: int, **entry: str
) -> Level:
    """Return what a ticket of a level was trained to, as the run's manifest has it by `name`.

    `said` is what people are told that it is, `after` how many trainings are to come.
    """
    run = locked.run
    ticket = replace(ticket, weights=whole(run, ticket))
    shelf = Shelf(run.outputs, key_of(run, ticket))
    density = masks.kept(ticket.mask) / masks.total(ticket.mask)
    run.watch.level(index, density, after * (ticket.span.stop - ticket.span.start), said)

    def waiting() -> None:
        run.watch.say(f"{name}: another run is training this very level; waiting to share it")

    with shelf.lock(waiting):
        found = shelf.complete
        shelf.sweep()
        if not found:
            leave(run, ticket, shelf, work(run, index, ticket, shelf))
        Checkpoints(shelf.path).clear()
        level = Level(run, index, shelf)
        check_environment(locked, level)
        links.link(run.folder / name, shelf.path)
        locked.ledger.note(name, key=shelf.key, **entry)
    shared = level.manifest["trained_by"] != run.identity
    locked.counts["shared" if shared else "already there" if found else "trained"] += 1
    return level


def check_environment(locked: LockedRun, level: Level) -> None:
    """Warn of a level that was trained in another environment; with `strict` raise UsageError."""
    run = locked.run
    changed = differences(level.manifest["environment"], fingerprint(run.task.device))
    if changed and (run.strict or not locked.elsewhere):
        refuse_or_warn(f"level {level.index}", changed, run.watch, run.strict)
        locked.elsewhere = True


def work(run: Run, index: int, ticket: Ticket, shelf: Shelf) -> Training:
    """Train a ticket on its shelf."""
    saves = run.settled.wanted(index)
    pause = Pause(run.checkpoint_every, run.task.steps_per_epoch)
    seed = run.data_seed(ticket.order)
    return train(run.parts, run.task, ticket, seed, saves, shelf, pause, run.watch, run.strict)


def existing(locked: LockedRun, index: int, branch: str = "") -> Level | None:
    """Return the level that this run already has, by its manifest; None where there is none.

    The link that people follow is made again where it is gone or leads elsewhere.
    """
    run, name = locked.run, place(index, branch)
    shelf = current(run.outputs, locked.ledger.levels.get(name, {}))
    if shelf is None:
        return None
    level = Level(run, index, shelf)
    check_environment(locked, level)
    links.link(run.folder / name, shelf.path)
    locked.counts["already there"] += 1
    return level


def current(outputs: Path, entry: Mapping[str, Any]) -> Shelf | None:
    """Return the shelf of a manifest's entry; None where it is incomplete or of another format."""
    shelf = Shelf(outputs, entry["key"]) if entry else None
    if shelf is None or not shelf.complete or shelf.manifest()["format"] != FORMAT:
        return None
    return shelf


def branch_entry(run: Run, level: Level, name: str) -> dict[str, str]:
    """Return what the manifest says of a branch: of which level it is, with which settings."""
    return {"of": level.shelf.key, "settings": run.parts.branch_settings[name]}


def branch_made(locked: LockedRun, level: Level, name: str) -> bool:
    """Say whether a level's branch was made with the settings that are asked for now."""
    made = locked.ledger.levels.get(place(level.index, name), {})
    return branch_entry(locked.run, level, name).items() <= made.items()

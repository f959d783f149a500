"""Say how many bytes a run will need, before it begins."""

import contextlib

import torch
from torch import Tensor, nn

from lottery.errors import DamagedError, DiskError
from lottery.experiment.levels import current
from lottery.experiment.run import Run
from lottery.experiment.sizes import plain
from lottery.storage import disk, records
from lottery.storage.checkpoints import KEPT
from lottery.storage.records import place
from lottery.terms import mask as masks
from lottery.wording.text import in_words

SMALL = 64 * 1024  # bytes of a level's manifest and curve, and of its rows in the tables


def check_space(run: Run) -> None:
    """Raise DiskError where the levels still to be trained will not fit on the disk.

    What an interrupted level has written counts as room: it is part of what is needed. Levels that
    another run may have trained count as well: which they are shows only when their masks are made.
    """
    todo = trainings_left(run)
    if run.parts.until:  # how many of them there will be is not known
        todo = min(todo, 1)
    wanted, there = needed(run, todo), disk.free(run.outputs)
    if todo and wanted > there and wanted > there + under_way(run):  # the whole store: only then
        raise DiskError(
            f"{run.outputs}: {todo} trainings need about {in_words(wanted)}, {in_words(there)} are "
            "free; free some space (lottery clean), ask for fewer levels, or write outputs=DIR on "
            "another disk"
        )


def under_way(run: Run) -> int:
    """Return the bytes that levels and masks on their way have on the disk already."""
    shelves = [p for p in run.outputs.glob("store/*") if not (p / records.MANIFEST).exists()]
    folders = [*shelves, *run.folder.glob(f"{records.SCORING}*")]
    found = 0
    for path in (path for folder in folders for path in folder.glob("*.safetensors")):
        with contextlib.suppress(FileNotFoundError):  # another run has just finished with it
            found += path.stat().st_size
    return found


def trainings_left(run: Run) -> int:
    """Return how many levels and branches the run does not have yet."""
    entries = {}
    with contextlib.suppress(DamagedError):  # named when the run reads it again, under its lock
        entries = records.levels(run.folder)
    names = [place(*each) for each in run.settled.trainings]
    with contextlib.suppress(DamagedError):
        return sum(current(run.outputs, entries.get(name, {})) is None for name in names)
    return len(names)


def needed(run: Run, trainings: int) -> int:
    """Return the bytes that so many trainings leave, with the checkpoints of one on its way."""
    return left_by(run, trainings) + at_work(run)


def left_by(run: Run, trainings: int) -> int:
    """Return the bytes that so many trainings leave: tickets, ends, states of later interest."""
    if not trainings:
        return 0
    weights, bits = plain(run.initial.weights), masks.total(run.dense) // 8
    nested = trainings if run.parts.pruning.nested else 0
    kept = len(run.settled.wanted(0)) + nested * len(run.settled.wanted(1))
    return trainings * (2 * weights + 2 * bits + SMALL) + kept * state_size(run)


def at_work(run: Run) -> int:
    """Return the bytes of the checkpoints of a training on its way."""
    rollback = 2 if run.parts.recipe.on_nan == "rollback" else 1
    return (KEPT + 1) * rollback * state_size(run)


def state_size(run: Run) -> int:
    """Return the bytes of a state: weights, what the optimizer keeps of them, the mask."""
    weights = plain(run.initial.weights)
    return weights * (1 + optimizer_copies(run)) + masks.total(run.dense) // 8


def optimizer_copies(run: Run) -> int:
    """Return how many numbers the optimizer keeps of each weight: 1 of momentum, 2 of Adam."""
    parameter = nn.Parameter(torch.zeros(2, device=run.task.device))
    optimizer = run.parts.recipe.optimizer([("weight", parameter)])
    parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    slots = optimizer.state[parameter].values()
    return sum(isinstance(slot, Tensor) and slot.shape == parameter.shape for slot in slots)

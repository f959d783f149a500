"""Look whether what lies in a run's folder follows from itself, and from training it again."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from lottery.errors import UsageError
from lottery.experiment.chain import Chain
from lottery.experiment.differences import Kept, first_gap, masks_apart
from lottery.experiment.level import Level
from lottery.experiment.levels import current, whole
from lottery.experiment.loop import next_ticket
from lottery.experiment.recorded_run import reopen
from lottery.experiment.replays import Replay
from lottery.experiment.run import LockedRun, Run
from lottery.experiment.tables import Tables
from lottery.storage.ledger import Ledger
from lottery.storage.records import checked, place
from lottery.terms import mask as masks
from lottery.terms.ticket import Ticket


def wrong_tables(run: Run) -> Iterator[str]:
    """Yield in what the tables of a run are not what its levels say, a line each."""
    locked = opened(run)
    for name, data in Tables(locked).made().items():
        there = checked(run.folder, name)
        if there is None:
            yield f"{name} is missing"
        elif there != data:
            yield f"{name}: {first_cell(there, data)}"


def opened(run: Run) -> LockedRun:
    """Return a run with its manifest, to be read alone; nobody writes while it is looked at."""
    ledger = Ledger(run.folder)
    ledger.read(run.watch.warn)
    return LockedRun(run, ledger, {})


def first_cell(there: bytes, made: bytes) -> str:
    """Say where two tables differ first."""
    one, other = (list(csv.DictReader(io.StringIO(data.decode()))) for data in (there, made))
    for number, (a, b) in enumerate(zip(one, other, strict=False), 1):
        for column in dict.fromkeys([*a, *b]):
            if a.get(column) != b.get(column):
                said = f"it says {a.get(column)!r}, and the levels {b.get(column)!r}"
                return f"row {number}, {column}: {said}"
    return f"it has {len(one)} rows, and the levels {len(other)}"


def level_again(folder: Path, index: int) -> tuple[list[str], bool]:
    """Make a level's ticket and train it again here; return what came out, and if it is the same.

    Raises UsageError where the data or the code are not those that it was trained with.
    """
    ledger = Ledger(folder)
    ledger.read(lambda line: None)
    shelf = current(folder.parents[2], ledger.levels.get(place(index), {}))
    if shelf is None:
        raise UsageError(f"verify: level {index} of {folder} is not whole in the store")
    kept = Kept(shelf)
    run, threads = reopen(folder, kept)
    said = []
    apart = ticket_apart(run, ledger, index, kept.ticket)
    if apart:
        said.append(f"its ticket does not follow from the levels before: {apart}")
    run.watch.level(index, masks.kept(kept.mask) / masks.total(kept.mask), 0)
    replay = Replay(run, kept, threads)
    for _ in range(replay.stop - replay.start):
        replay.advance()
        run.watch.advance()
    run.watch.close()
    if not replay.stray and (why := masks_apart(kept.mask, replay.mask())):
        replay.stray = f"step {replay.stop}, the mask: {why}"
    told = replay.report("").strip().removeprefix(": ")
    return [*said, told], not (apart or replay.stray)


def ticket_apart(run: Run, ledger: Ledger, index: int, kept: Ticket) -> str:
    """Say in what a level's ticket is not what its run makes of the levels before it; "" if it is.

    What making it leaves is written elsewhere.
    """
    if index == 0:
        made = run.settled.dense
    else:
        entries = ledger.levels
        shelves = [current(run.outputs, entries.get(place(n), {})) for n in (0, index - 1)]
        if None in shelves:
            return f"level {index - 1} is not in the store"
        with tempfile.TemporaryDirectory() as elsewhere:
            aside = replace(run, folder=Path(elsewhere))
            levels = [Level(aside, n, s) for n, s in zip((0, index - 1), shelves, strict=True)]  # type: ignore[arg-type]
            locked = LockedRun(aside, Ledger(aside.folder), {})  # where nothing stands yet
            with torch.enable_grad():
                made = next_ticket(aside, Chain(locked, index, *levels))
        made = replace(made, weights=whole(run, made))
    if why := masks_apart(kept.mask, made.mask):
        return f"mask: {why}"
    gap = first_gap(kept.weights, made.weights, list(kept.weights))
    if gap:
        return str(gap).replace(" in A,", " there,").replace(" in B;", " made here;")
    return "" if kept.span == made.span else f"its steps are {kept.span}, made here {made.span}"

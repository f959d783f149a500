"""Say what a run would train, share and find there, before anything is written."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lottery.config import build
from lottery.errors import DamagedError, DiskError, UsageError
from lottery.experiment.cost import Cost, masked, scoring, seen
from lottery.experiment.ending import last_level
from lottery.experiment.foreseen import foreseen
from lottery.experiment.levels import current
from lottery.experiment.run import Run
from lottery.experiment.settled import DENSE, OTHER_INIT
from lottery.planning.forecast import Kept, kept_counts
from lottery.planning.names import Names, hashed
from lottery.planning.planned import SHARED, THERE, TRAIN, Plan, Planned
from lottery.results.folders import run_folders
from lottery.storage.records import analysed, place, position, read_record, whose
from lottery.storage.records import levels as entries_of
from lottery.storage.settings import read_settings
from lottery.storage.store import Shelf
from lottery.terms import mask as masks
from lottery.terms.snapshots import step_of
from lottery.terms.step import Span, parse


@dataclass(frozen=True)
class Known:
    """A training that is done, or will be when the jobs before have run."""

    by: str  # run id and replicate of who trains it
    start: int
    kept: frozenset[int]  # the steps whose states it leaves


class Planner:
    """Plans runs one after the other, each after those before it."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.known: dict[str, Known] = {}
        self.found: dict[Path, dict[str, list[Path]]] = {}  # runs on the disk, by level 0's key

    def plan(self, run: Run, overrides: tuple[str, ...]) -> Plan:
        """Return the plan of a checked run; its trainings count as done for the next ones."""
        names = Names(run)
        self.look(names)
        counts = kept_counts(run)
        found = Plan(run, overrides, masks.total(run.dense), counts[0].bound)
        entries = entries_of(run.folder) if self.trusted(run) else {}
        last = last_level(run.parts, run.outputs, entries, run.task.metrics[0])
        found.ended = last is not None
        for index, kept in enumerate(counts[: None if last is None else last + 1]):
            shelf = current(run.outputs, entries.get(place(index), {}))
            row = self.level(names, index, kept, shelf)
            leaves = run.settled.wanted(index)
            found.rows.append(self.settle(run, row, names.level(index), leaves, shelf))
            if not index and (0, OTHER_INIT) in run.settled.trainings:
                found.rows.append(self.other_init(names, found.rows[0], entries))
            found.rows += self.branches(names, found.rows[-1], entries, shelf)
        found.rows += self.analyses(names, found.rows, entries)
        return found

    def trusted(self, run: Run) -> bool:
        """Say whether what the run's manifest names still follows from its code and its data."""
        said = read_record(run.folder)
        then, now = said.get("code", {}), run.parts.code
        data = run.task.fingerprint
        return bool(said.get("data", data) == data and now.items() <= (now | then).items())

    def level(self, names: Names, index: int, kept: Kept, shelf: Shelf | None) -> Planned:
        """Return a level as it is to be trained."""
        run, settled = names.run, names.run.settled
        span = settled.span(index)
        made = index and not (index == 1 and settled.brought)
        looks = settled.looks(index) if made else ()
        wanted = [(settled.parent(index), step) for step in looks]
        wanted += [(0, step) for step in settled.rewind.steps] if index else []
        net = masked(run.forward, {})
        return Planned(
            index, "", kept.density, kept.kept, kept.layers, TRAIN, "", span, seen(run, span),
            evaluated(run, span), sum((scoring(run, net, math.inf) for _ in looks), Cost()),
            self.replays(names, wanted) if shelf is None else 0,
        )  # fmt: skip

    def branches(
        self, names: Names, level: Planned, entries: dict[str, Any], of: Shelf | None
    ) -> Iterator[Planned]:
        """Yield the branches of a level."""
        run = names.run
        for branch in run.settled.branches(level.index):
            follow = run.settled.branch(branch, level.index)
            settings = run.parts.branch_settings[branch]
            entry = entries.get(place(level.index, branch), {})
            made = of is not None and {"of": of.key, "settings": settings}.items() <= entry.items()
            shelf = current(run.outputs, entry) if made else None
            wanted = [(0, step) for step in follow.steps]
            row = replace(
                level, branch=branch, what=TRAIN, by="", span=follow.span,
                examples=seen(run, follow.span), evaluated=evaluated(run, follow.span),
                scored=level.scored if follow.inverted else Cost(),
                replayed=self.replays(names, wanted) if shelf is None else 0,
            )  # fmt: skip
            name = names.branch(level.index, branch, settings)
            yield self.settle(run, row, name, set(), shelf)

    def other_init(self, names: Names, dense: Planned, entries: dict[str, Any]) -> Planned:
        """Return the dense net from another initialization, which branches ask for."""
        shelf = current(names.run.outputs, entries.get(place(0, OTHER_INIT), {}))
        row = replace(dense, branch=OTHER_INIT, what=TRAIN, by="", replayed=0)
        leaves = names.run.settled.wanted(0)
        return self.settle(names.run, row, names.branch(0, OTHER_INIT, DENSE), leaves, shelf)

    def analyses(
        self, names: Names, rows: Sequence[Planned], entries: dict[str, Any]
    ) -> list[Planned]:
        """Return what analyses would train, each once."""
        run, levels = names.run, {row.index: row for row in rows if not row.branch}
        found = []
        for one in foreseen(run):
            if one.level not in levels:  # it comes after the last
                continue
            level, ticket = levels[one.level], one.ticket
            span = (ticket.span.start, ticket.span.stop)
            name = names.level(one.level)
            if one.control or ticket.order or ticket.span != level.span:
                name = hashed(name, one.control, ticket.order, span)
            if one.control and not ticket.order:
                settings = build.spelled(build.branch(one.control))
                name = names.branch(one.level, one.control, settings)
            there = analysed(one.level, one.analysis, one.word)
            shelf = current(run.outputs, entries.get(there, {}))
            row = replace(
                level, branch=f"{one.analysis} {one.word.replace('_', ' ')}", what=TRAIN, by="",
                span=ticket.span, examples=seen(run, ticket.span),
                evaluated=evaluated(run, ticket.span), scored=Cost(), replayed=0,
            )  # fmt: skip
            if shelf is not None or name not in self.known:  # else it is there for another reason
                found.append(self.settle(run, row, name, set(), shelf))
        return found

    def settle(
        self, run: Run, row: Planned, name: str, leaves: set[int], shelf: Shelf | None
    ) -> Planned:
        """Return a row with what becomes of it: its own, another's, or trained, and so known."""
        own = whose(run.folder)
        if shelf is not None:
            self.known.setdefault(name, known(shelf, row.span))
            return replace(row, what=THERE)
        if name in self.known:
            by = self.known[name].by
            return replace(row, what=THERE if by == own else SHARED, by="" if by == own else by)
        self.known[name] = Known(own, row.span.start, frozenset(leaves))
        return row

    def replays(self, names: Names, wanted: list[tuple[int, int]]) -> int:
        """Return the steps to train again for states of levels; from now on they are kept."""
        steps = 0
        for level, step in wanted:
            name, span = names.level(level), names.run.settled.span(level)
            there = self.known.get(name)
            if there is None or not span.start < step < span.stop or step in there.kept:
                continue
            steps += step - max((k for k in there.kept if k < step), default=there.start)
            self.known[name] = replace(there, kept=there.kept | {step})
        return steps

    def look(self, names: Names) -> None:
        """Note the trainings that runs on the disk have, of those with the same level 0."""
        run, dense = names.run, names.level(0)
        shelf = Shelf(run.outputs, dense)
        if shelf.complete and dense not in self.known:
            self.known[dense] = known(shelf, run.settled.span(0))
        for folder in self.beside(run.outputs).pop(dense, ()):
            try:
                self.note(Names(reopened(run, folder), dense), entries_of(folder))
            except (DamagedError, DiskError, UsageError) as error:
                self.warn(f"left out of the plan: {folder}: {error}")

    def beside(self, outputs: Path) -> dict[str, list[Path]]:
        """Return the runs on the disk by the key of their level 0; looks once a command."""
        if outputs not in self.found:
            self.found[outputs] = {}
            for folder in run_folders(outputs):
                try:
                    key = entries_of(folder).get(place(0), {}).get("key", "")
                except (DamagedError, DiskError) as error:
                    self.warn(f"left out of the plan: {folder}: {error}")
                else:
                    self.found[outputs].setdefault(key, []).append(folder)
        return self.found[outputs]

    def note(self, names: Names, entries: dict[str, Any]) -> None:
        """Note the trainings that a run has."""
        run = names.run
        for name, entry in entries.items():
            shelf, at = current(run.outputs, entry), position(name)
            if at and shelf:
                called = names.branch(*at, entry["settings"]) if at[1] else names.level(at[0])
                self.known.setdefault(called, known(shelf, run.settled.span(at[0])))


def reopened(run: Run, folder: Path) -> Run:
    """Return another run on the disk that has the same level 0, and so the same data."""
    parts = build.parts(read_settings(folder))
    return replace(run, parts=parts, folder=folder, identity=whose(folder))


def known(shelf: Shelf, span: Span) -> Known:
    """Return what is known of a training in the store."""
    manifest = shelf.manifest()
    kept = frozenset(step_of(f) for f in manifest["files"] if f.endswith("it.safetensors"))
    return Known(manifest["trained_by"], span.start, kept)


def evaluated(run: Run, span: Span) -> int:
    """Return how many examples are looked at for the curve of a level, and at its end."""
    end = run.length.iteration
    every = parse(run.parts.recipe.evaluate_every, run.length.steps_per_epoch, end).iteration
    between = (span.stop - 1) // every - span.start // every
    curve = (between + 2) * (run.task.size("val") + run.task.size("test"))
    return curve + run.task.size("train")

"""Say what a run would train, share and find there, before anything is written."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lottery.errors import DamagedError, DiskError, UsageError
from lottery.experiment.cost import Cost, masked, scoring, seen
from lottery.experiment.levels import current, in_branches, wanted_states
from lottery.experiment.lineage import (
    followed,
    level_span,
    name_of,
    name_of_branch,
    parent_of,
    rewound,
    scored_at,
)
from lottery.experiment.run import Run
from lottery.planning.forecast import Kept, kept_counts
from lottery.planning.planned import SHARED, THERE, TRAIN, Plan, Planned
from lottery.results.folders import run_folders
from lottery.storage.records import levels as entries_of
from lottery.storage.records import place, read_record, whose
from lottery.storage.store import Shelf
from lottery.terms import mask as masks
from lottery.terms.snapshots import step_of
from lottery.terms.step import Span, parse

Reopen = Callable[[Run, Path], Run]  # another run on the disk, of the same data


@dataclass(frozen=True)
class Known:
    """A training that is done, or will be when the jobs before have run."""

    by: str  # run id and replicate of who trains it
    start: int
    kept: frozenset[int]  # the steps whose states it leaves


class Planner:
    """Plans runs one after the other, each after those before it."""

    def __init__(self, reopen: Reopen, warn: Callable[[str], None]) -> None:
        self.reopen, self.warn = reopen, warn
        self.known: dict[str, Known] = {}
        self.found: dict[Path, dict[str, list[Path]]] = {}  # runs on the disk, by level 0's key

    def plan(self, run: Run, overrides: tuple[str, ...]) -> Plan:
        """Return the plan of a checked run; its trainings count as done for the next ones."""
        self.look(run)
        counts = kept_counts(run)
        found = Plan(run, overrides, masks.total(run.dense), counts[0].bound)
        entries = entries_of(run.folder) if self.trusted(run) else {}
        for index, kept in enumerate(counts):
            name = name_of(run, index)
            shelf = current(run.outputs, entries.get(place(index), {}))
            row = self.level(run, index, kept, shelf)
            found.rows.append(self.settle(run, row, name, wanted_states(run, index), shelf))
            if index and in_branches(run, index):
                found.rows += self.branches(run, found.rows[-1], kept, entries, shelf)
        return found

    def trusted(self, run: Run) -> bool:
        """Say whether what the run's manifest names still follows from its code and its data."""
        said = read_record(run.folder)
        then, now = said.get("code", {}), run.parts.code
        data = run.task.fingerprint
        return bool(said.get("data", data) == data and now.items() <= (now | then).items())

    def level(self, run: Run, index: int, kept: Kept, shelf: Shelf | None) -> Planned:
        """Return a level as it is to be trained."""
        span = level_span(run, index)
        takes_ticket = index == 1 and rewound(run).brings
        made = index and not takes_ticket
        parent = parent_of(run, index) if made else 0
        wanted = [(parent, scored_at(run, index))] if made else []
        wanted += [(0, step) for step in rewound(run).steps] if index else []
        net = masked(run.forward, {})
        return Planned(
            index, "", kept.density, kept.kept, kept.layers, TRAIN, "", span, seen(run, span),
            evaluated(run, span), scoring(run, net, math.inf) if made else Cost(),
            self.replays(run, wanted) if shelf is None else 0,
        )  # fmt: skip

    def branches(
        self, run: Run, level: Planned, kept: Kept, entries: dict[str, Any], of: Shelf | None
    ) -> Iterator[Planned]:
        """Yield the branches of a level."""
        for branch, settings in run.parts.branch_settings.items():
            follow = followed(run, branch)
            entry = entries.get(place(level.index, branch), {})
            made = of is not None and {"of": of.key, "settings": settings}.items() <= entry.items()
            shelf = current(run.outputs, entry) if made else None
            wanted = [(0, step) for step in follow.steps]
            row = replace(
                level, branch=branch, what=TRAIN, by="", span=follow.span,
                examples=seen(run, follow.span), evaluated=evaluated(run, follow.span),
                scored=level.scored if follow.inverted else Cost(),
                replayed=self.replays(run, wanted) if shelf is None else 0,
            )  # fmt: skip
            name = name_of_branch(run, level.index, branch, settings)
            yield self.settle(run, row, name, set(), shelf)

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

    def replays(self, run: Run, wanted: list[tuple[int, int]]) -> int:
        """Return the steps to train again for states of levels; from now on they are kept."""
        steps = 0
        for level, step in wanted:
            name, span = name_of(run, level), level_span(run, level)
            there = self.known.get(name)
            if there is None or not span.start < step < span.stop or step in there.kept:
                continue
            steps += step - max((k for k in there.kept if k < step), default=there.start)
            self.known[name] = replace(there, kept=there.kept | {step})
        return steps

    def look(self, run: Run) -> None:
        """Note the trainings that runs on the disk have, of those with the same level 0."""
        dense = name_of(run, 0)
        shelf = Shelf(run.outputs, dense)
        if shelf.complete and dense not in self.known:
            self.known[dense] = known(shelf, level_span(run, 0))
        for folder in self.beside(run.outputs).pop(dense, ()):
            try:
                other = self.reopen(run, folder)
                other.known["name 0"] = dense
                self.note(other, entries_of(folder))
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

    def note(self, run: Run, entries: dict[str, Any]) -> None:
        """Note the trainings that a run has."""
        for name, entry in entries.items():
            shelf = current(run.outputs, entry)
            index, _, branch = name.removeprefix("level_").partition("_")
            if shelf is None:
                continue
            if branch:
                called = name_of_branch(run, int(index), branch, entry["settings"])
            else:
                called = name_of(run, int(index))
            self.known.setdefault(called, known(shelf, level_span(run, int(index))))


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

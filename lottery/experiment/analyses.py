"""Ask finished levels what a run's analyses ask: what they need is trained, what they find is kept.

What an analysis finds lies in analyses/NAME-KEY.csv, a file for each of its settings. A row says of
which level it is by that level's key in the store, so that only levels without rows are asked.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lottery.errors import DamagedError, UsageError
from lottery.experiment.chain import Chain
from lottery.experiment.foreseen import control, method_of
from lottery.experiment.level import Level
from lottery.experiment.levels import current, shelved
from lottery.machine import signals
from lottery.nets.graph import evaluating
from lottery.pruning.prune import prune
from lottery.storage import disk, records
from lottery.storage.checkpoints import set_aside
from lottery.storage.files import digest
from lottery.storage.records import ANALYSES, analysed, checked, place
from lottery.storage.tables import table
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.analysis import Pruner
from lottery.terms.kept import FORMAT
from lottery.terms.mask import Mask
from lottery.terms.metric import Metric
from lottery.terms.parts import Parts
from lottery.terms.step import Step
from lottery.terms.task import Task
from lottery.terms.task_checks import measures
from lottery.terms.ticket import State, Ticket
from lottery.training.loop import precision
from lottery.training.start import standing

if TYPE_CHECKING:
    from lottery.experiment.run import LockedRun, Run

WHOSE = ("level", "density", "settings")  # columns in front of every row; `key` stands last


def run_analyses(locked: LockedRun) -> None:
    """Ask every finished level that is to be analysed, and keep what comes out."""
    run = locked.run
    for name in run.parts.analyses:
        kept = Findings(locked, name)
        for index in kept.wanted:
            signals.leave_if_asked()
            looked = kept.looked(index)
            if looked.level.shelf.key not in kept.asked:
                kept.add(looked, run.parts.analyses[name](looked))


@dataclass
class Findings:
    """What one analysis found of the levels of a run, and the files that hold it."""

    locked: LockedRun
    name: str
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by word; "" is the table
    asked: set[str] = field(default_factory=set)  # keys of levels

    def __post_init__(self) -> None:
        entries = self.locked.ledger.levels
        there = {entries[place(index)]["key"] for index in self.indices}
        for name in self.locked.ledger.files:
            folder, _, file = name.partition("/")
            stem, _, key = file.removesuffix(".csv").rpartition("-")
            word = stem.removeprefix(self.name).removeprefix("_")
            if folder != ANALYSES or key != self.key or not stem.startswith(self.name):
                continue
            data = self.read(name)
            if data is None:  # all that this analysis found is made again
                self.rows.clear()
                return
            read = csv.DictReader(io.StringIO(data.decode()))
            every = ({column: cell(text) for column, text in row.items()} for row in read)
            self.rows[word] = [row for row in every if row["key"] in there]
        self.asked = {row["key"] for row in self.rows.get("", [])}

    def read(self, name: str) -> bytes | None:
        """Return a file of findings; None where it is gone, or damaged and set aside."""
        folder = self.locked.run.folder
        try:
            return checked(folder, name)
        except DamagedError as error:
            aside = set_aside(folder / name)
            what = str(error).partition(";")[0]
            said = f"{what}; it is kept as {aside.name}, and made again"
            self.locked.run.watch.warn(said, "damage")
        return None

    @cached_property
    def indices(self) -> list[int]:
        """The levels that are finished."""
        run, entries = self.locked.run, self.locked.ledger.levels
        every = range(run.parts.levels + 1)
        return [n for n in every if current(run.outputs, entries.get(place(n), {}))]

    @property
    def wanted(self) -> list[int]:
        """The levels that are asked for."""
        some = self.locked.run.parts.analysis_levels
        return [index for index in self.indices if some is None or index in some]

    @cached_property
    def key(self) -> str:
        """What the rows of a level follow from besides that level and its ticket."""
        return key_of(self.locked.run.parts, self.name, self.locked.ledger.levels)

    def looked(self, index: int) -> Looked:
        """Return a level as the analysis sees it."""
        return Looked(self.locked, self.name, self.level(index), self.level(0), self.before(index))

    def level(self, index: int) -> Level:
        run, entries = self.locked.run, self.locked.ledger.levels
        shelf = current(run.outputs, entries[place(index)])
        if shelf is None:
            raise UsageError(f"{run.folder}: level {index} is gone; type the run's command again")
        return Level(run, index, shelf)

    def before(self, index: int) -> Level:
        """Return the level that was pruned to this one."""
        return self.level(max(index - 1, 0))

    def add(self, looked: Looked, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Keep the rows of a level, in the order of levels."""
        level, run = looked.level, self.locked.run
        share = masks.kept(level.ticket.mask) / masks.total(level.ticket.mask)
        head = dict(zip(WHOSE, (level.index, share, run.parts.analysis_settings[self.name])))
        for word, rows in found.items():
            made = [{**head, **row, "key": level.shelf.key} for row in rows]
            others = (row for row in self.rows.get(word, []) if row["key"] != level.shelf.key)
            every = [*others, *made]
            self.rows[word] = sorted(every, key=lambda row: int(row["level"]))
        self.asked.add(level.shelf.key)
        files = {self.file(word): table(rows) for word, rows in self.rows.items() if rows}
        if files:
            disk.make_folder(run.folder / ANALYSES)
        self.locked.ledger.write_files(files)
        run.watch.tables()

    def file(self, word: str) -> str:
        return file_of(self.name, self.key, word)


def key_of(parts: Parts, name: str, levels: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what an analysis' rows follow from besides their level, given a run's manifest."""
    made_of = {
        "format": FORMAT,
        "analysis": name,
        "settings": parts.analysis_settings[name],
        "code": parts.code.get(f"analysis {name}"),
        "dense": levels[place(0)]["key"],
        "replicate": parts.replicate,
    }
    return digest(json.dumps(made_of, sort_keys=True).encode())[:16]


def file_of(name: str, key: str, word: str = "") -> str:
    """Return the file of what an analysis found, in a run's folder."""
    return f"{ANALYSES}/{name}{f'_{word}' if word else ''}-{key}.csv"


def answered(folder: Path, parts: Parts) -> bool:
    """Say whether a run has what all its analyses find of its pruned levels, as they are now.

    Raises LotteryError for what is damaged.
    """
    levels = records.levels(folder)
    some = parts.analysis_levels
    wanted = [n for n in range(1, parts.levels + 1) if some is None or n in some]
    keys = {levels[place(n)]["key"] for n in wanted if place(n) in levels}
    for name in parts.analyses:
        data = checked(folder, file_of(name, key_of(parts, name, levels))) or b""
        if not keys <= {row["key"] for row in csv.DictReader(io.StringIO(data.decode()))}:
            return False
    return True


def cell(text: str) -> Any:
    """Return the number that a cell of a table holds, where it is written the same again."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            if str(kind(text)) == text:
                return kind(text)
    return text


@dataclass
class Looked:
    """A finished level as an analysis sees it (`terms.analysis.Finished`)."""

    locked: LockedRun
    analysis: str
    level: Level
    first: Level
    before: Level

    @property
    def run(self) -> Run:
        return self.locked.run

    @property
    def index(self) -> int:
        return self.level.index

    @property
    def task(self) -> Task:
        return self.run.task

    @property
    def metric(self) -> Metric:
        return self.run.task.metrics[0]

    @property
    def ticket(self) -> Ticket:
        return self.level.ticket

    @property
    def mask(self) -> Mask:
        return self.level.mask

    @property
    def end(self) -> State:
        return self.level.end

    @property
    def dense(self) -> Looked:
        return Looked(self.locked, self.analysis, self.first, self.first, self.first)

    def step(self, at: str) -> Step:
        return self.run.settled.step(at)

    def state(self, step: Step) -> State:
        return self.level.state(step)

    def control(self, branch: str) -> Ticket:
        chain = Chain(self.locked, self.index, self.first, self.before)
        draw = seeds.generator("branch", branch, self.index, self.run.parts.replicate)
        return control(self.analysis, branch, self.ticket, chain, draw)

    def train(self, ticket: Ticket, word: str) -> State:
        signals.leave_if_asked()
        name = analysed(self.index, self.analysis, word)
        disk.make_folder(self.run.folder / ANALYSES)
        said = f"{self.analysis} {word.replace('_', ' ')}"
        return shelved(self.locked, self.index, ticket, name, said, 0).end

    def net(self, weights: Mapping[str, Tensor]) -> nn.Module:
        return standing(self.run.parts, self.task, weights)

    def measure(self, net: nn.Module, split: str) -> dict[str, float]:
        signals.leave_if_asked()
        with precision(self.run.parts.recipe, self.task.device), evaluating(net):
            found = measures(self.task, self.task.evaluate(net, split), split)
        return found | {"error": self.metric.error_of(found[self.metric.name], found["loss"])}

    def method(self, words: str) -> Pruner:
        parts, task = self.run.parts, self.task
        how = method_of(parts, words)
        seed = seeds.derive("prune", parts.replicate)

        def pruned(weights: Mapping[str, Tensor], mask: Mask, density: float) -> Mask:
            signals.leave_if_asked()
            here = {name: keep.to(task.device) for name, keep in mask.items()}
            made = prune(self.net(weights), here, density, task, seed, how)
            return {name: keep.cpu() for name, keep in made.items()}

        return pruned

    def draw(self, *words: int | str) -> torch.Generator:
        here = ("analysis", self.analysis, self.index, self.run.parts.replicate)
        return seeds.generator(*here, *words)

    def advance(self, said: str) -> None:
        signals.leave_if_asked()
        self.run.watch.say(f"level {self.index}: {self.analysis}: {said}")

    def warn(self, said: str) -> None:
        self.run.watch.warn_once(said)

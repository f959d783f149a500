"""Hold one run: its parts, its data, its place on the disk, its seeds; and one that is locked."""

import contextlib
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch import nn

from lottery.config import blame
from lottery.errors import DamagedError, LotteryError, UsageError
from lottery.experiment.settled import First, Settled
from lottery.nets.counting import Forward, forward, unknown
from lottery.progress.bars import Progress
from lottery.storage import records
from lottery.storage.ledger import Ledger
from lottery.storage.store import Shelf
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.kept import ticket_on
from lottery.terms.mask import Mask
from lottery.terms.parts import Parts
from lottery.terms.prunable import bare
from lottery.terms.step import Step
from lottery.terms.task import Task
from lottery.terms.ticket import State
from lottery.training.start import build, state_of
from lottery.wording.settings import named

COUNTS = ("trained", "shared", "already there")


@dataclass(frozen=True)
class Run:
    """One config and one replicate, with the place where it lives; to be read."""

    parts: Parts
    task: Task
    outputs: Path
    folder: Path
    identity: str  # run id and replicate: who trained a level first
    checkpoint_every: str
    watch: Progress
    strict: bool = False

    @cached_property
    def settled(self) -> Settled:
        """What it will need; what it tells of that is about tickets."""
        tell = partial(self.watch.warn, kind="ticket")
        moments = {} if isinstance(self.parts.pruning.at, str) else self.moments()
        return Settled(self.parts, self.task, lambda: self.first, tell, moments=moments)

    def moments(self) -> dict[int, int]:
        """Return the steps at which the rule of prune.at had levels scored, by the manifest."""
        with contextlib.suppress(DamagedError):  # named when the run reads it again, locked
            entries = records.levels(self.folder).items()
            return {
                at[0]: int(entry["moment"])  # no branch has one
                for name, entry in entries
                if "moment" in entry and (at := records.position(name))
            }
        return {}

    def data_seed(self, order: int = 0) -> int:
        """Return the seed of the data's order and augmentation; 0 is that of every level."""
        return seeds.derive("data", self.parts.replicate, *(("order", order) if order else ()))

    def drawn(self, *words: int | str) -> nn.Module:
        """Return a net of the model, with a draw of this replicate's initial weights."""
        return build(self.parts, self.task, seeds.derive(*words, self.parts.replicate))

    def fresh(self, *words: int | str) -> State:
        """Return a draw of the initial weights of this replicate."""
        return state_of(self.drawn(*words), self.task)

    def started(self, model: nn.Module) -> State:
        """Return what the run begins with: what its start makes of the initial net.

        Where that gives nothing any more, as a file that is gone, level 0 has it. Raises UsageError
        for weights that are not those of the model, by name and shape.
        """
        try:
            with named("start"):
                state = self.parts.start(model, self.task)
        except UsageError:
            entry = records.levels(self.folder).get(records.place(0), {})
            if not entry or not (shelf := Shelf(self.outputs, entry["key"])).complete:
                raise
            return State(Step(0, self.task.steps_per_epoch), ticket_on(shelf).weights)
        own = model.state_dict()
        for name in own.keys() | state.weights.keys():
            there, here = state.weights.get(name), own.get(name)
            if there is None or here is None or there.shape != here.shape:
                raise UsageError(f"start: {name} is not as the model has it, by name and shape")
        return state

    @cached_property
    def first(self) -> First:
        """What is known of the net at step 0: it is made once for all of that."""
        how, model = self.parts.pruning, self.drawn("init")
        dense = masks.dense(model, how.include, how.exclude)
        return First(self.started(model), dense, bare(model, dense), masks.names(model))

    @cached_property
    def initial(self) -> State:
        """The weights of step 0."""
        return self.first.state

    @property
    def dense(self) -> Mask:
        """The mask of level 0."""
        return self.first.dense

    @property
    def unmasked(self) -> dict[str, int]:
        """The parameters of two or more axes that no mask reaches, with their sizes."""
        return self.first.unmasked

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """All names of each parameter of the model, by the first."""
        return self.first.names

    @cached_property
    def spread(self) -> dict[str, int]:
        """What `spread_now` gave when this command began."""
        return self.spread_now()

    def spread_now(self) -> dict[str, int]:
        """Return how many weights the allocation keeps of each layer where all score the same.

        What an allocation reads from a file shows here: a run must not go on with another table.
        """
        scores = {name: m.float() for name, m in self.dense.items()}
        try:
            density = self.parts.schedule(1)
            if not 0 < density <= 1:  # of a run without pruned levels; else checks refuse it
                return {}
            kept = self.parts.pruning.allocation(scores, self.dense, density)
        except (LotteryError, IndexError, OverflowError):
            return {}
        return {name: masks.kept({name: m}) for name, m in kept.items()}

    @cached_property
    def forward(self) -> Forward:
        """What one forward pass of the dense net takes; NaN where it cannot be counted."""
        model = build(self.parts, self.task)
        try:
            return forward(model, self.task)
        except Exception as error:  # noqa: BLE001 (no count is worth a trained level)
            why = blame.reason(error)
            self.watch.warn(f"what this net costs is not known: it cannot be counted ({why})")
            return unknown(model)

    @property
    def length(self) -> Step:
        return self.settled.length


@dataclass
class LockedRun:
    """A run that this process alone may change: locked and read, with what this command did."""

    run: Run
    ledger: Ledger
    before: dict[str, Any]  # what an earlier command left in run.json; {} where there was none
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    elsewhere: bool = False  # whether it was said that some of it is of another environment
    alike: set[str] = field(default_factory=set)  # layers of which it was said that scores tie

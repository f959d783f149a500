"""Answer for the states that a level is made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lottery.errors import UsageError
from lottery.experiment.levels import current, obtain
from lottery.experiment.looking import Looked, Timeline, name_of
from lottery.experiment.run import LockedRun, Run
from lottery.experiment.settled import DENSE, OTHER_INIT, Schedule
from lottery.pruning.followed import Followed
from lottery.pruning.prune import inverted, prune, telling
from lottery.pruning.search_state import Memory
from lottery.storage import disk
from lottery.storage.records import place, scoring
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.copying import load_
from lottery.terms.due import Pause
from lottery.terms.mask import Mask
from lottery.terms.parts import Moment, Pruning
from lottery.terms.step import Step
from lottery.terms.task_checks import examples as some_examples
from lottery.terms.ticket import State
from lottery.training.start import build
from lottery.wording.text import some

if TYPE_CHECKING:
    from lottery.experiment.level import Level


INVERTED = "inverted"  # the kind of mask that keeps the lowest scores


def forget_scoring(run: Run, index: int) -> None:
    """Remove what the making of a level's masks has left: the level is there."""
    for kind in ("", INVERTED):
        disk.remove_folder(run.folder / scoring(index, kind))


class Chain(Schedule):
    """The states that a level is made from: level 0's, and those of the level it prunes."""

    def __init__(self, locked: LockedRun, index: int, origin: Level, before: Level) -> None:
        super().__init__(locked.run.settled)
        self.locked, self.run, self.alike = locked, locked.run, locked.alike
        self.index, self.origin = index, origin
        self.parent = before if self.nested else origin
        self.looked: Looked | None = None  # by a rule that finds the moment of scoring

    def __call__(self, at: str) -> State:
        if at == "end":
            return self.parent.end
        if at.startswith("fresh"):
            return self.run.fresh(at.partition(":")[2] or "reinit", self.index)
        if at == "rewind":
            return self.run.parts.rewind(self)[0]
        if at == "scored":
            return self.parent.state(Step(self.moment, self.length.steps_per_epoch))
        return self.origin.state(self.step(at))

    def other_init(self, at: str) -> State:
        step, locked = self.step(at), self.locked
        start = self.run.fresh(OTHER_INIT)
        if not step.iteration:
            return start
        entry = locked.ledger.levels.get(place(0, OTHER_INIT), {})
        if shelf := current(self.run.outputs, entry):
            return replace(self.origin, shelf=shelf).state(step)
        ticket = replace(self.settled.dense, weights=start.weights)
        of = {"of": self.origin.shelf.key, "settings": DENSE}
        return obtain(locked, 0, ticket, OTHER_INIT, **of).state(step)

    def inputs(self, examples: int) -> Iterator[tuple[Any, ...]]:
        draw = seeds.generator("branch inputs", self.replicate)
        batch = self.run.parts.recipe.batch_size
        size = min(examples, self.task.size("train"))
        for found in some_examples(self.task, draw, size=size, batch=batch):
            yield self.task.inputs(found)

    def given(self) -> Mask | None:
        """Return the mask that level 1 takes from a ticket; None for any other level or rewind."""
        found = self.settled.brought if self.index == 1 else None
        if found:
            dense = [n.removesuffix(".weight") for n, keep in found.items() if bool(keep.all())]
            shown = f"; not pruned: {some(dense)}" if dense else ""
            share = masks.kept(found) / masks.total(found)
            self.run.watch.say(f"level 1: the ticket's mask, density {share:.4g}{shown}")
        return found

    def inverted(self) -> Mask:
        return self.mask(inverted(self.run.parts.pruning), INVERTED)

    @property
    def moment(self) -> int:
        """The step of the parent whose state is scored; a rule finds it, once."""
        at, known = self.run.parts.pruning.at, self.locked.ledger.levels.get(place(self.index), {})
        if not isinstance(at, str) and self.looked is None and "moment" not in known:
            self.look(at)
        return self.settled.scored_at(self.index)

    def look(self, rule: Moment) -> Looked:
        """Let the rule find its moment in the parent's training; return what it has seen there."""
        if self.looked is None:
            make = partial(self.made, self.run.parts.pruning)
            timeline = Timeline(self.step, self.parent.ticket.span, self.length)
            looked = Looked(timeline, make, self.run.watch)
            step = rule(looked)
            self.settled.moments[self.index], self.looked = step.iteration, looked
            self.run.watch.say(
                f"level {self.index}: scored at {step}, where {name_of(rule)} came to after "
                f"{len(looked.packed)} masks"
            )
        return self.looked

    def mask(self, how: Pruning, kind: str = "") -> Mask:
        """Return the mask of this level: a state is scored, and its mask pruned further."""
        step = self.moment
        if self.looked and not kind:
            return self.looked.at(step)
        return self.made(how, step, kind)

    def made(self, how: Pruning, step: int, kind: str = "") -> Mask:
        """Return the mask that is made of the parent's state at a step.

        What a long criterion has come to is kept in a folder of the run, named for the level and
        the kind of its mask.
        """
        run, end = self.run, step >= self.parent.ticket.span.stop
        if run.spread_now() != run.spread:
            raise changed_since(run, "a table of layer densities")
        scored = self.parent.state(Step(step, self.length.steps_per_epoch))
        before = scored.mask or (self.parent.mask if end else self.parent.ticket.mask)
        model = build(run.parts, run.task)
        load_(model, scored.weights)
        model.to(run.task.device)
        on_device = {name: before[name].to(run.task.device) for name in run.dense}
        seed = seeds.derive("prune", run.parts.replicate)
        folder = run.folder / scoring(self.index, kind)
        pause = Pause(run.checkpoint_every, run.task.steps_per_epoch)
        density = self.settled.density(self.index)
        made_of = f"{self.parent.shelf.key} {kind} {sorted(run.parts.code.items())}"
        made_of += "" if isinstance(how.at, str) else f" {step}"
        with Memory(folder, made_of, pause, run.watch.warn) as memory:
            how = telling(how, self.alike, run.watch.warn)
            task = Followed(run.task, run.watch, f"level {self.index}", memory)
            mask = prune(model, on_device, density, task, seed, how, memory)
        return {name: m.cpu() for name, m in mask.items()}


def changed_since(run: Run, what: str) -> UsageError:
    """Return the error for what a run was begun with and is another now."""
    return UsageError(
        f"{run.folder}: {what} has changed since this run began; restore it, or give this run "
        "another name=..."
    )

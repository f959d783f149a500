"""Answer for the states that a level is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lottery.errors import UsageError
from lottery.experiment.run import LockedRun, Run
from lottery.experiment.settled import Schedule
from lottery.pruning.followed import Followed
from lottery.pruning.prune import inverted, prune, telling
from lottery.pruning.search_state import Memory
from lottery.storage import disk
from lottery.storage.records import scoring
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.copying import load_
from lottery.terms.due import Pause
from lottery.terms.mask import Mask
from lottery.terms.parts import Pruning
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
        self.run, self.alike = locked.run, locked.alike
        self.index, self.origin = index, origin
        self.parent = before if self.nested else origin

    def __call__(self, at: str) -> State:
        if at == "end":
            return self.parent.end
        if at.startswith("fresh"):
            return self.run.fresh(at.partition(":")[2] or "reinit", self.index)
        if at == "rewind":
            return self.run.parts.rewind(self)[0]
        return self.origin.state(self.step(at))

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

    def mask(self, how: Pruning, kind: str = "") -> Mask:
        """Return the mask of this level: a state is scored, and its mask pruned further.

        What a long criterion has come to is kept in a folder of the run, named for the level and
        the kind of its mask.
        """
        run, last = self.run, self.parent.ticket.span.stop
        if run.spread_now() != run.spread:
            raise changed_since(run, "a table of layer densities")
        end = how.at == "end" or self.step(how.at).iteration >= last
        scored = self.parent.end if end else self.parent.state(self.step(how.at))
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

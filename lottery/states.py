"""Answer for the states that a level is made from, and say beforehand which will be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lottery import seeds, store
from lottery.glimpse import Followed
from lottery.loop import build
from lottery.mask import Mask
from lottery.memory import Memory
from lottery.parts import Pruning, State
from lottery.pause import Pause
from lottery.prune import inverted, prune
from lottery.runs import Run
from lottery.step import Step, parse

if TYPE_CHECKING:
    from lottery.levels import Level


INVERTED = "_inverted"  # the end of such a name for the mask of the lowest scores
SCORING = "scoring_level_"  # and the level: where the making of its mask is remembered


def forget_scoring(run: Run, index: int) -> None:
    """Remove what the making of a level's masks has left: the level is there."""
    for kind in ("", INVERTED):
        store.remove_folder(run.folder / f"{SCORING}{index:02d}{kind}")


class Chain:
    """The states that a level is made from: level 0's, and those of the level it prunes."""

    def __init__(self, run: Run, index: int, origin: Level, before: Level) -> None:
        self.run, self.index, self.origin = run, index, origin
        self.nested = run.parts.pruning.nested
        self.parent = before if self.nested else origin
        self.length = run.length

    def step(self, at: str) -> Step:
        return parse(at, self.length.steps_per_epoch, self.length.iteration)

    def __call__(self, at: str) -> State:
        if at == "end":
            return self.parent.end
        if at.startswith("fresh"):
            return self.run.fresh(at.partition(":")[2] or "reinit", self.index)
        if at == "rewind":
            return self.run.parts.rewind(self)[0]
        return self.origin.state(self.step(at))

    def inverted(self) -> Mask:
        return self.mask(inverted(self.run.parts.pruning), INVERTED)

    def mask(self, how: Pruning, kind: str = "") -> Mask:
        """Return the mask of this level: a state is scored, and its mask pruned further.

        What a long criterion has come to is kept in a folder of the run, named for the level and
        the kind of its mask.
        """
        run, last = self.run, self.parent.ticket.span.stop
        end = how.at == "end" or self.step(how.at).iteration >= last
        scored = self.parent.end if end else self.parent.state(self.step(how.at))
        before = scored.mask or (self.parent.mask if end else self.parent.ticket.mask)
        model = build(run.parts, run.task)
        model.load_state_dict(scored.weights)
        model.to(run.task.device)
        on_device = {name: before[name].to(run.task.device) for name in run.dense}
        seed = seeds.derive("prune", run.parts.replicate)
        folder = run.folder / f"{SCORING}{self.index:02d}{kind}"
        pause = Pause(run.checkpoint_every, run.task.steps_per_epoch)
        density = run.parts.schedule(self.index)
        with Memory(folder, f"{self.parent.shelf.key} {kind}", pause, run.watch.warn) as memory:
            task = Followed(run.task, run.watch, f"level {self.index}", memory)
            mask = prune(model, on_device, density, task, seed, how, memory)
        return {name: m.cpu() for name, m in mask.items()}


class Wish:
    """Answer as Chain does, but only note what a rewind will ask for."""

    def __init__(self, run: Run) -> None:
        self.run, self.length = run, run.length
        self.nested = run.parts.pruning.nested
        self.asked: set[int] = set()

    def step(self, at: str) -> Step:
        return parse(at, self.length.steps_per_epoch, self.length.iteration)

    def __call__(self, at: str) -> State:
        if at == "rewind":
            return self.run.parts.rewind(self)[0]
        if at.startswith("fresh"):
            return self.run.initial
        if at == "end":
            return State(self.length, self.run.initial.weights)
        step = self.step(at)
        self.asked.add(step.iteration)
        return State(step, self.run.initial.weights)

    def inverted(self) -> Mask:
        return self.run.dense

"""Answer for the states that a level is made from, and say beforehand which will be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from lottery.errors import UsageError
from lottery.experiment.run import Run
from lottery.nets.heads import Heads, heads_of
from lottery.pruning.followed import Followed
from lottery.pruning.prune import inverted, prune, telling
from lottery.pruning.search_state import Memory
from lottery.storage import disk, store
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.copying import load_
from lottery.terms.due import Pause
from lottery.terms.mask import Mask
from lottery.terms.parts import Pruning
from lottery.terms.step import Step, parse
from lottery.terms.ticket import State, T
from lottery.training.start import build
from lottery.wording.text import some

if TYPE_CHECKING:
    from lottery.experiment.level import Level


INVERTED = "_inverted"  # the end of such a name for the mask of the lowest scores
SCORING = "scoring_level_"  # and the level: where the making of its mask is remembered
OWN_STEP = "step of the ticket"  # under what name a run keeps it, read once


def once(run: Run, what: str, make: Callable[[], T]) -> T:
    """Return what `make` has given the first time in this run."""
    if what not in run.known:
        run.known[what] = make()
    return run.known[what]  # type: ignore[no-any-return]


def forget_scoring(run: Run, index: int) -> None:
    """Remove what the making of a level's masks has left: the level is there."""
    for kind in ("", INVERTED):
        disk.remove_folder(run.folder / f"{SCORING}{index:02d}{kind}")


class Schedule:
    """What a run tells a rewind or a branch besides its states: length, data, its number."""

    def __init__(self, run: Run) -> None:
        self.run, self.length = run, run.length
        self.nested, self.replicate = run.parts.pruning.nested, run.parts.replicate

    @property
    def data(self) -> str:
        return self.run.task.fingerprint

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        return self.run.names

    @property
    def heads(self) -> Heads | None:
        run = self.run
        return once(run, "heads", lambda: heads_of(partial(build, run.parts), run.task))

    def step(self, at: str) -> Step:
        return parse(at, self.length.steps_per_epoch, self.length.iteration)

    def once(self, what: str, make: Callable[[], T]) -> T:
        return once(self.run, what, make)

    def warn(self, text: str) -> None:
        self.run.watch.warn(text, "ticket")


class Chain(Schedule):
    """The states that a level is made from: level 0's, and those of the level it prunes."""

    def __init__(self, run: Run, index: int, origin: Level, before: Level) -> None:
        super().__init__(run)
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
        found = brought(self.run) if self.index == 1 else None
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
        folder = run.folder / f"{SCORING}{self.index:02d}{kind}"
        pause = Pause(run.checkpoint_every, run.task.steps_per_epoch)
        density = densities(run)(self.index)
        made_of = f"{self.parent.shelf.key} {kind} {sorted(run.parts.code.items())}"
        with Memory(folder, made_of, pause, run.watch.warn) as memory:
            how = telling(how, once(run, "scored alike", set), run.watch.warn)
            task = Followed(run.task, run.watch, f"level {self.index}", memory)
            mask = prune(model, on_device, density, task, seed, how, memory)
        return {name: m.cpu() for name, m in mask.items()}


class Wish(Schedule):
    """Answer as Chain does, but only note what a rewind will ask for."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.asked: set[int] = set()
        self.drew = False  # whether a fresh draw was asked for

    def __call__(self, at: str) -> State:
        if at == "rewind":
            return self.run.parts.rewind(self)[0]
        if at.startswith("fresh"):
            self.drew = True
            return self.run.initial
        if at == "end":
            return State(self.length, self.run.initial.weights)
        step = self.step(at)
        self.asked.add(step.iteration)
        return State(step, self.run.initial.weights)

    def inverted(self) -> Mask:
        wanted = self.run.parts.branch_levels
        if (wanted is None or 1 in wanted) and brought(self.run):
            raise UsageError(
                "branch invert: the mask of level 1 comes from a ticket, without the scores; leave "
                "level 1 out (branch_levels=[2]) or the branch"
            )
        return self.run.dense


class Need(Wish):
    """A Wish that also notes which states it gave: a step of level 0, the end, a fresh draw."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.gave: list[tuple[tuple[str, ...], State]] = []
        self.asked_inverted = False

    def __call__(self, at: str) -> State:
        state = super().__call__(at)
        if at == "end" or at.startswith("fresh"):
            self.gave.append(((at,), state))
        elif at != "rewind":
            self.gave.append((("step", str(state.step.iteration)), state))
        return state

    def inverted(self) -> Mask:
        self.asked_inverted = True
        return super().inverted()

    @property
    def ended(self) -> bool:
        """Whether it was asked for the end of training."""
        return any(at == ("end",) for at, _ in self.gave)


def brought(run: Run) -> Mask | None:
    """Return the mask that the rewind brings from elsewhere; None where it brings none.

    Raises UsageError where it prunes a layer that this run leaves dense.
    """
    return once(run, "brought", lambda: mask_brought(run))


def mask_brought(run: Run) -> Mask | None:
    """Return what `brought` does, of a ticket that is fitted to the model anew."""
    mask = run.parts.rewind(Wish(run))[0].mask
    if mask is None:
        return None
    for name, keep in mask.items():
        if name not in run.dense and not bool(keep.all()):
            raise UsageError(
                f"rewind.path: the ticket prunes {name.removesuffix('.weight')}, which "
                "prune.include and prune.exclude leave dense here; type prune.exclude=[]"
            )
    return {name: mask.get(name, keep) for name, keep in run.dense.items()}


def densities(run: Run) -> Callable[[int], float]:
    """Return what gives the density of a level: the schedule.

    From a ticket it goes on at its own pace: level 1 has the ticket's density, level l that times
    schedule(l) / schedule(1).
    """
    mask, schedule = brought(run), run.parts.schedule
    if mask is None:
        return schedule
    share = masks.kept(mask) / masks.total(mask)
    return lambda level: (
        share * (schedule(level) / schedule(1) if level > 1 else 1) if level else 1.0
    )


def changed_since(run: Run, what: str) -> UsageError:
    """Return the error for what a run was begun with and is another now."""
    return UsageError(
        f"{run.folder}: {what} has changed since this run began; restore it, or give this run "
        "another name=..."
    )


def fingerprint_of_ticket(run: Run) -> str | None:
    """Return the content hash of the ticket that the rewind brings; None where it brings none."""

    def digest() -> str | None:
        state = run.parts.rewind(Wish(run))[0]
        if state.mask is None:
            return None
        masks_of = {f"mask {n}": m for n, m in state.mask.items()}
        found = store.tensor_digest(state.weights | masks_of)
        # where no step was typed, a file that says another one is another ticket
        return f"{found} {state.step}" if run.known.get(OWN_STEP) else found

    return once(run, "fingerprint of the ticket", digest)

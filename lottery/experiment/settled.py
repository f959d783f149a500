"""Ask once, before anything is trained, what a run will need; everybody reads the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.experiment.looking import Asked, Timeline
from lottery.nets.heads import Heads, heads_of
from lottery.storage import store
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.mask import Mask, Scores
from lottery.terms.parts import Parts
from lottery.terms.step import Span, Step, parse
from lottery.terms.task import Task, made_up
from lottery.terms.ticket import State, T, Ticket
from lottery.terms.units import Units
from lottery.training.start import build, length, standing
from lottery.wording.settings import named

MADE_UP = 2  # examples, in place of those that a branch looks at
OTHER_INIT = "other_init"  # what the dense net from another initialization is called, at level 0
DENSE = "dense"  # its settings, as they stand in branches.csv
OWN_STEP = "step of the ticket"  # by what word the rewind reads it, once a run


class First(NamedTuple):
    """A run's net at step 0: weights, what the mask has of them and what not, names of each."""

    state: State
    dense: Mask
    unmasked: dict[str, int]
    names: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Rewound:
    """What the rewind of a run does, as far as that shows before a level is trained."""

    state: State  # of initial weights, or of those that a ticket brings
    span: Span  # the steps of a pruned level
    steps: tuple[int, ...]  # of level 0, whose states it asks for
    ended: bool  # whether it asks for the end of the level that is pruned
    drew: bool  # whether it asks for another draw of the initial weights
    scored: bool  # whether it asks for the state that is scored, and starts from its step
    source: tuple[str, ...]  # the one state that it gives as it is; () where it makes its own


@dataclass(frozen=True)
class Follow:
    """What a branch does, as far as that shows before a level is trained."""

    span: Span
    held: bool  # whether pruned weights keep their values
    steps: tuple[int, ...]  # of level 0, whose states it asks for
    other: tuple[int, ...]  # of the dense net from another initialization, whose states it asks for
    drew: bool  # whether it asks for another draw of the initial weights
    inverted: bool  # whether it asks for the mask of the lowest scores
    again: bool  # whether it is the training of a dense net over again


@dataclass
class Settled:
    """What a run will need, each thing asked when it is first read.

    The rewind and the branches are asked once, with the initial net for every state of training.
    """

    parts: Parts
    task: Task
    net: Callable[[], First]
    tell: Callable[[str], None]  # people, of what they would not expect
    given: dict[str, Any] = field(default_factory=dict)  # what components made once, by their words
    followed: dict[tuple[str, bool], Follow] = field(default_factory=dict)  # by branch; of level 0?
    moments: dict[int, int] = field(default_factory=dict)  # level -> step that a rule has found

    @cached_property
    def length(self) -> Step:
        """The length of a whole training."""
        return length(self.parts, self.task)

    @property
    def first(self) -> First:
        return self.net()

    @cached_property
    def heads(self) -> Heads | None:
        """What of the model grows with the number of classes; None where that cannot be told."""
        return heads_of(partial(build, self.parts), self.task)

    @cached_property
    def behind(self) -> Callable[[str], bool] | None:
        """Say of a name whether it stands behind the model's encoder; None where it has none."""
        return getattr(build(self.parts, self.task), "behind", None)

    def step(self, at: str) -> Step:
        """Return the step that `at` names."""
        return parse(at, self.length.steps_per_epoch, self.length.iteration)

    def once(self, what: str, make: Callable[[], T]) -> T:
        """Return what `make` has given the first time in this run."""
        if what not in self.given:
            self.given[what] = make()
        return self.given[what]  # type: ignore[no-any-return]

    @cached_property
    def rewind(self) -> Rewound:
        """What the rewind asks for and gives."""
        wish = Wish(self)
        with named("rewind"):
            state, span = self.parts.rewind(wish)
        source = next((at for at, given in wish.gave if given is state), ())
        steps = tuple(sorted(wish.steps))
        return Rewound(state, span, steps, wish.ended, wish.drew, wish.scored, source)

    def branch(self, name: str, index: int = 1) -> Follow:
        """Return what a branch does with a level: pruned ones are alike, level 0 is dense."""
        key = (name, index > 0)
        if key not in self.followed:
            wish, start = Wish(self), self.first
            level = Ticket(start.state.weights, start.dense, self.span(index))
            made = self.parts.branches[name](level, wish, seeds.generator(name))
            steps = tuple(sorted(wish.steps))
            other = tuple(sorted(wish.other))
            again = not wish.drew and same_training(made, level)
            self.followed[key] = Follow(
                made.span, made.held, steps, other, wish.drew, wish.inverse, again
            )
        return self.followed[key]

    def branches(self, index: int) -> tuple[str, ...]:
        """Return the branches that are made of a level."""
        wanted = self.parts.branch_levels
        there = index > 0 if wanted is None else index in wanted
        return tuple(self.parts.branches) if there else ()

    @cached_property
    def trainings(self) -> list[tuple[int, str]]:
        """Every level and branch ("" for the level itself), in the order of their training."""
        levels = range(self.parts.levels + 1)
        every = [(index, name) for index in levels for name in ("", *self.branches(index))]
        first = next((n for n, (_, name) in enumerate(every) if self.other(name)), None)
        return every if first is None else [*every[:first], (0, OTHER_INIT), *every[first:]]

    def other(self, name: str) -> tuple[int, ...]:
        """Return the steps after 0 of the other dense net whose states a branch asks for."""
        known = name in self.parts.branches
        return tuple(step for step in self.branch(name).other if step) if known else ()

    def span(self, index: int) -> Span:
        """Return the steps that a level trains; where a rule is yet to find the first, the most."""
        if not index:
            return Span(0, self.length.iteration)
        span = self.rewind.span
        return Span(self.earliest(index), span.stop) if self.rewind.scored else span

    @property
    def dense(self) -> Ticket:
        """What level 0 trains."""
        return Ticket(self.first.state.weights, self.first.dense, self.span(0))

    def parent(self, index: int) -> int:
        """Return the level whose mask is pruned to that of a level."""
        return index - 1 if self.parts.pruning.nested else 0

    def scored_at(self, index: int) -> int:
        """Return the step of the parent whose state is scored: at most its last.

        Where a rule is yet to find it, the last that it looks at.
        """
        return self.moments[index] if index in self.moments else self.looks(index)[-1]

    def earliest(self, index: int) -> int:
        """Return the step that is scored; where a rule is yet to find it, the first it may be."""
        if index in self.moments or isinstance(self.parts.pruning.at, str):
            return self.scored_at(index)
        return self.asked(index, alike=True)[-1]

    def looks(self, index: int) -> Sequence[int]:
        """Return the steps of the parent whose states may be scored for a level, in order."""
        at, last = self.parts.pruning.at, self.span(self.parent(index)).stop
        if isinstance(at, str):
            return [last if at == "end" else min(self.step(at).iteration, last)]
        return self.asked(index, alike=False)

    def asked(self, index: int, alike: bool) -> list[int]:
        """Return the steps that the rule of prune.at looks at, of masks all alike or all not."""
        rule, span = self.parts.pruning.at, self.span(self.parent(index))
        asked = Asked(Timeline(self.step, span, self.length), alike)
        assert not isinstance(rule, str)
        with named("prune.at"):
            rule(asked)
        return asked.seen

    def wanted(self, index: int) -> set[int]:
        """Return the steps at which later levels will want the state of a level."""
        found = set() if index else {*self.rewind.steps}
        at = self.parts.pruning.at
        below = index < self.parts.levels or isinstance(at, str)
        if at != "end" and below and (index == 0 or self.parts.pruning.nested):
            found |= {self.step(at).iteration} if isinstance(at, str) else {*self.looks(index + 1)}
        return found - {0, self.length.iteration}

    @cached_property
    def brought(self) -> Mask | None:
        """The mask that the rewind brings from elsewhere; None where it brings none.

        Raises UsageError where it prunes a layer that this run leaves dense.
        """
        mask = self.rewind.state.mask
        if mask is None:
            return None
        for name, keep in mask.items():
            if name not in self.first.dense and not bool(keep.all()):
                raise UsageError(
                    f"rewind.path: the ticket prunes {name.removesuffix('.weight')}, which "
                    "prune.include and prune.exclude leave dense here; type prune.exclude=[]"
                )
        return {name: mask.get(name, keep) for name, keep in self.first.dense.items()}

    @cached_property
    def fingerprint(self) -> str | None:
        """The content hash of the ticket that the rewind brings; None where it brings none."""
        state = self.rewind.state
        if state.mask is None:
            return None
        found = store.tensor_digest(state.weights | {f"mask {n}": m for n, m in state.mask.items()})
        # where no step was typed, a file that says another one is another ticket
        return f"{found} {state.step}" if OWN_STEP in self.given else found

    def density(self, level: int) -> float:
        """Return the density of a level: what the schedule gives.

        From a ticket it goes on at its own pace: level 1 has the ticket's density, level l that
        times schedule(l) / schedule(1).
        """
        schedule = self.parts.schedule
        if self.brought is None:
            return schedule(level)
        share = masks.kept(self.brought) / masks.total(self.brought)
        return share * (schedule(level) / schedule(1) if level > 1 else 1) if level else 1.0


def same_training(made: Ticket, level: Ticket) -> bool:
    """Say whether a branch trains nothing but the dense net that the level trains."""
    dense = all(bool(keep.all()) for keep in made.mask.values())
    same = all(made.weights[name] is w or made.weights[name].equal(w)
               for name, w in level.weights.items())  # fmt: skip
    variant = (made.order, made.frozen, made.span.stop) == (0, (), level.span.stop)
    return dense and same and variant


class Schedule:
    """What a run tells a rewind or a branch besides its states: length, data, its number."""

    def __init__(self, settled: Settled) -> None:
        self.settled, self.length, self.task = settled, settled.length, settled.task
        self.nested, self.replicate = settled.parts.pruning.nested, settled.parts.replicate
        self.once, self.warn = settled.once, settled.tell

    @property
    def inherits(self) -> bool:
        parts, back = self.settled.parts, self.settled.rewind
        last = min(parts.levels, max(parts.branch_levels or (parts.levels,)))
        return self.nested and last > 1 and (back.scored or back.state.step == self.length)

    @property
    def data(self) -> str:
        return self.settled.task.fingerprint

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        return self.settled.first.names

    @property
    def heads(self) -> Heads | None:
        return self.settled.heads

    @property
    def behind(self) -> Callable[[str], bool] | None:
        return self.settled.behind

    def step(self, at: str) -> Step:
        return self.settled.step(at)

    def net(self, weights: Mapping[str, Tensor]) -> nn.Module:
        return standing(self.settled.parts, self.task, weights)

    def units(self, scores: Scores, mask: Mask) -> Units:
        net = self.net(self.settled.first.state.weights)
        return self.settled.parts.pruning.structure(net, self.task, scores, mask)


class Wish(Schedule):
    """Answer for states that are not there yet with initial weights, and note what is asked for."""

    def __init__(self, settled: Settled) -> None:
        super().__init__(settled)
        self.steps: set[int] = set()  # of level 0
        self.other: set[int] = set()  # of the dense net from another initialization
        self.ended = self.drew = self.scored = self.inverse = False
        self.gave: list[tuple[tuple[str, ...], State]] = []

    def __call__(self, at: str) -> State:
        start = self.settled.first.state
        if at == "rewind":
            back = self.settled.rewind
            self.steps.update(back.steps)
            self.drew, self.scored = self.drew or back.drew, self.scored or back.scored
            return back.state
        if at == "scored":
            self.scored = True
            step = Step(self.settled.earliest(1), self.length.steps_per_epoch)
            return self.give(State(step, start.weights), at)
        if at.startswith("fresh"):
            self.drew = True
            return self.give(start, at)
        if at == "end":
            self.ended = True
            return self.give(State(self.length, start.weights), at)
        step = self.step(at)
        self.steps.add(step.iteration)
        return self.give(State(step, start.weights), "step", str(step.iteration))

    def other_init(self, at: str) -> State:
        step, self.drew = self.step(at), True
        self.other.add(step.iteration)
        return State(step, self.settled.first.state.weights)

    def inputs(self, examples: int) -> list[tuple[Any, ...]]:
        return [made_up(self.task, MADE_UP)]

    def give(self, state: State, *at: str) -> State:
        """Return a state, and remember what was asked for it."""
        self.gave.append((at, state))
        return state

    def inverted(self) -> Mask:
        self.inverse = True
        wanted = self.settled.parts.branch_levels
        if (wanted is None or 1 in wanted) and self.settled.brought:
            raise UsageError(
                "branch invert: the mask of level 1 comes from a ticket, without the scores; leave "
                "level 1 out (branch_levels=[2]) or the branch"
            )
        return self.settled.first.dense

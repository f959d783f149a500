"""Say what a run's analyses would train, before any level is there; and refuse what they refuse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from lottery.config import build
from lottery.config.bind import bind
from lottery.errors import UsageError
from lottery.experiment.settled import Settled, Wish
from lottery.terms import seeds
from lottery.terms.analysis import Pruner
from lottery.terms.mask import Mask
from lottery.terms.parts import Parts, Pruning
from lottery.terms.step import Step
from lottery.terms.ticket import State, States, Ticket
from lottery.wording.settings import named

if TYPE_CHECKING:
    from lottery.experiment.run import Run


def control(
    analysis: str, name: str, level: Ticket, states: States, draw: torch.Generator
) -> Ticket:
    """Return the ticket of a branch of a level, with the settings of its yaml.

    Raises UsageError, in the terms of the analysis, for one that cannot be.
    """
    branch = bind("branch", build.branch(name), f"branches.{name}")
    try:
        return branch(level, states, draw)  # type: ignore[no-any-return]
    except UsageError as error:
        said = str(error).partition(";")[0].removeprefix(f"branch {name}: ")
        raise UsageError(
            f"control {name}: {said}; type analyses.{analysis}.controls=[]"
        ) from error


def method_of(parts: Parts, words: str) -> Pruning:
    """Return the row of the table of methods that words name: own, or "synflow+rounds:1"."""
    return parts.pruning if words == "own" else build.method(words)


class Enough(Exception):  # noqa: N818 (no error: it went as far as it was to go)
    """The analysis takes its settings, and has said what it trains."""


class Foreseen:
    """A level that is not there yet: it notes what an analysis would train of it.

    Its states are the initial net. What is asked of a net, or of the data, ends it.
    """

    def __init__(self, settled: Settled, index: int, analysis: str) -> None:
        self.settled, self.index, self.analysis = settled, index, analysis
        self.task, self.metric = settled.task, settled.task.metrics[0]
        start = settled.first
        self.ticket = Ticket(start.state.weights, start.dense, settled.span(index))
        self.mask, self.end = start.dense, State(settled.length, start.state.weights)
        self.trained: list[tuple[str, Ticket]] = []
        self.controls: dict[int, str] = {}  # whose mask it is, by the object's number

    @property
    def dense(self) -> Foreseen:
        return Foreseen(self.settled, 0, self.analysis)

    def step(self, at: str) -> Step:
        return self.settled.step(at)

    def state(self, step: Step) -> State:
        return State(step, self.end.weights)

    def control(self, branch: str) -> Ticket:
        draw = seeds.generator(branch)
        found = control(self.analysis, branch, self.ticket, Wish(self.settled), draw)
        found = replace(found, mask=dict(found.mask))  # an object of its own
        self.controls[id(found.mask)] = branch
        return found

    def train(self, ticket: Ticket, word: str) -> State:
        self.trained.append((word, ticket))
        return self.end

    def method(self, words: str) -> Pruner:
        method_of(self.settled.parts, words)

        def pruned(weights: Mapping[str, Tensor], mask: Mask, density: float) -> Mask:
            raise Enough

        return pruned

    def draw(self, *words: int | str) -> torch.Generator:
        return seeds.generator(*words)

    def advance(self, said: str) -> None:
        raise Enough

    def warn(self, said: str) -> None:
        raise Enough

    def net(self, weights: Mapping[str, Tensor]) -> nn.Module:
        raise Enough

    def measure(self, net: nn.Module, split: str) -> dict[str, float]:
        raise Enough


class Training(NamedTuple):
    """What an analysis would train of a level."""

    analysis: str
    level: int
    word: str
    ticket: Ticket
    control: str  # whose mask it has; "" for the level's own


def foreseen(run: Run) -> Iterator[Training]:
    """Yield what the analyses of a run would train; raises UsageError as they do."""
    some = run.parts.analysis_levels
    for name in run.parts.analyses:
        for index in range(run.parts.levels + 1):
            if some is None or index in some:
                yield from of_level(run, name, index)


def of_level(run: Run, name: str, index: int) -> Iterator[Training]:
    """Yield what an analysis would train of a level; raises UsageError as the analysis does."""
    level = Foreseen(run.settled, index, name)
    with named(f"analyses.{name}"), contextlib.suppress(Enough):
        run.parts.analyses[name](level)
    for word, ticket in level.trained:
        yield Training(name, index, word, ticket, level.controls.get(id(ticket.mask), ""))


def check_analyses(run: Run) -> None:
    """Raise UsageError for levels that are none, and for settings that an analysis refuses.

    Pruned levels look alike before they are there, so one of them is asked, and the dense one.
    """
    there, some = run.parts.levels, run.parts.analysis_levels
    if run.parts.analyses and some and not 0 <= min(some) <= max(some) <= there:
        raise UsageError(
            f"analysis_levels={list(some)}: this run has the levels 0 to {there}; type "
            f"analysis_levels=[{there}], or null for all of them"
        )
    wanted = range(there + 1) if some is None else some
    for name in run.parts.analyses:
        for index in {min(n, 1) for n in wanted}:
            list(of_level(run, name, index))

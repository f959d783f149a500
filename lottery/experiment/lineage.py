"""Say what a ticket is made from, and name a training by that before anything is trained."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lottery.experiment.chain import Need, densities, fingerprint_of_ticket
from lottery.experiment.levels import key_of
from lottery.experiment.run import Run
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.step import Span
from lottery.terms.ticket import Ticket


@dataclass(frozen=True)
class Rewound:
    """What the rewind of a run does, as far as that shows before a level is trained."""

    span: Span  # the steps of a pruned level
    steps: tuple[int, ...]  # of level 0, whose states it asks for
    ended: bool  # whether it asks for the end of the level that is pruned
    source: tuple[str, ...]  # the one state that it gives as it is; () where it makes its own
    brings: str | None  # the content hash of a ticket from elsewhere


def rewound(run: Run) -> Rewound:
    """Return what the rewind of a run asks for and gives."""
    if "rewind" not in run.known:
        need = Need(run)
        state, span = run.parts.rewind(need)
        source = next((at for at, given in need.gave if given is state), ())
        brings = None if state.mask is None else fingerprint_of_ticket(run)
        run.known["rewind"] = Rewound(span, tuple(sorted(need.asked)), need.ended, source, brings)
    return run.known["rewind"]  # type: ignore[no-any-return]


def level_span(run: Run, index: int) -> Span:
    """Return the steps that a level trains."""
    return rewound(run).span if index else Span(0, run.length.iteration)


def parent_of(run: Run, index: int) -> int:
    """Return the level whose mask is pruned."""
    return index - 1 if run.parts.pruning.nested else 0


def scored_at(run: Run, index: int) -> int:
    """Return the step of the level before whose state is scored: at most its last."""
    at, last = run.parts.pruning.at, level_span(run, parent_of(run, index)).stop
    return last if at == "end" else min(Need(run).step(at).iteration, last)


@dataclass(frozen=True)
class Needs:
    """What a ticket is made from: levels as far as a step, and the levels whose net was scored."""

    reached: dict[int, int]  # level -> step
    scored: tuple[int, ...]  # of each scoring, the level whose net it was

    def also(self, level: int, step: int) -> "Needs":
        """Return this and a level as far as a step."""
        reached = self.reached | {level: max(step, self.reached.get(level, 0))}
        return Needs(reached, self.scored)


def needs(run: Run, index: int) -> Needs:
    """Return what the ticket of a level is made from: nothing for the dense one.

    Follows from where states are scored (prune.at), whether the mask before is pruned further
    (prune.nested), and the states that the rewind asks for. What a ticket from elsewhere, which
    level 1 takes with its mask, has cost is not known, and left out.
    """
    if not index:
        return Needs({}, ())
    how, parent = rewound(run), parent_of(run, index)
    found = needs(run, parent)
    if not (how.brings and index == 1):
        found = Needs(found.reached, (*found.scored, parent)).also(parent, scored_at(run, index))
    for step in how.steps:
        found = found.also(0, step)
    return found.also(parent, level_span(run, parent).stop) if how.ended else found


def name_of(run: Run, index: int) -> str:
    """Return a name for the training of a level: equal names are the same training.

    Level 0 has its key. A pruned level is named by all that its ticket follows from: the name of
    the level that it prunes, where that is scored and how, its density, what it is rewound to.
    Two that come to the same ticket in other ways have different names.
    """
    at = f"name {index}"
    if at not in run.known:
        run.known[at] = named(run, index) if index else key_of(run, dense_ticket(run))
    return run.known[at]  # type: ignore[no-any-return]


def dense_ticket(run: Run) -> Ticket:
    """Return what level 0 trains."""
    return Ticket(run.initial.weights, run.dense, level_span(run, 0))


def named(run: Run, index: int) -> str:
    """Return the name of a pruned level."""
    part, back = run.parts.pruning, rewound(run)
    density = densities(run)(index)
    everything = masks.count(density, run.dense) == masks.total(run.dense)
    if everything and back.source == ("step", "0") and back.span == level_span(run, 0):
        return name_of(run, 0)  # the dense net again
    rounds = [part.rounds, part.path, part.revive] if part.rounds > 1 else [1]
    mask = [
        name_of(run, parent_of(run, index)),
        scored_at(run, index),
        *(spelled(each) for each in (part.criterion, part.structure, part.allocation)),
        rounds,
        round(density, 12),
    ]
    drawn = back.source[:1] != ("step",) and back.source != ("end",)  # anew for every level
    rewind = [*(back.source or spelled(run.parts.rewind)), *([index] if drawn else [])]
    return hashed(
        name_of(run, 0),
        back.brings if back.brings and index == 1 else mask,
        rewind,
        [back.brings, back.span.start, back.span.stop],
        part.update_settings,
    )


def name_of_branch(run: Run, index: int, branch: str, settings: str) -> str:
    """Return a name for the training of a branch of a level."""
    return hashed(name_of(run, index), branch, settings, index)


def spelled(component: Callable[..., Any]) -> list[Any]:
    """Return which function a component is, and its settings."""
    function = getattr(component, "func", component)
    return [function.__module__, function.__qualname__, getattr(component, "keywords", {})]


def hashed(*parts: Any) -> str:
    """Return a hash of what JSON can spell."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Follow:
    """What a branch does, as far as that shows before a level is trained."""

    span: Span
    held: bool  # whether pruned weights keep their values
    steps: tuple[int, ...]  # of level 0, whose states it asks for
    inverted: bool  # whether it asks for the mask of the lowest scores


def followed(run: Run, branch: str) -> Follow:
    """Return what a branch of the config does, asked with the initial dense net for a level."""
    at = f"branch {branch}"
    if at not in run.known:
        need = Need(run)
        level = Ticket(run.initial.weights, run.dense, level_span(run, 1))
        ticket = run.parts.branches[branch](level, need, seeds.generator(branch))
        run.known[at] = Follow(
            ticket.span, ticket.held, tuple(sorted(need.asked)), need.asked_inverted
        )
    return run.known[at]  # type: ignore[no-any-return]

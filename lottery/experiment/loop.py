"""Run the experiment: the loop over levels."""

from lottery.experiment import moments
from lottery.experiment.chain import Chain, forget_scoring
from lottery.experiment.level import Level
from lottery.experiment.levels import branch_entry, branch_made, existing, obtain
from lottery.experiment.run import LockedRun, Run
from lottery.experiment.tables import Tables, warn_of_collapse
from lottery.machine import signals
from lottery.terms import seeds
from lottery.terms.ticket import Ticket, ticket_of


def run_levels(locked: LockedRun) -> None:
    """Run every level that is not there yet: train, prune, rewind.

    With levels_until the one that is below the dense net is the last.
    """
    run, tables = locked.run, Tables(locked)
    origin: Level | None = None
    parent: Level | None = None
    for index in range(run.parts.levels + 1):
        signals.leave_if_asked()
        level = existing(locked, index)
        if origin is None or parent is None:
            level = level or obtain(locked, index, run.settled.dense)
            run_branches(locked, level, Chain(locked, index, level, level))
        else:
            states = Chain(locked, index, origin, parent)
            level = level or obtain(locked, index, next_ticket(run, states), **found_at(states))
            moments.keep(locked, level, states)
            warn_of_collapse(run, level)
            run_branches(locked, level, states)
            forget_scoring(run, index)
        tables.write()
        run.watch.tables()
        origin, parent = origin or level, level
        if index and is_last(run, level, origin):
            break


def is_last(run: Run, level: Level, dense: Level) -> bool:
    """Say whether a run prunes no further, since a level is below the dense net."""
    until, metric = run.parts.until, run.task.metrics[0]
    found, start = (each.manifest["result"] for each in (level, dense))
    return until is not None and until.below(metric, found, start)


def next_ticket(run: Run, states: Chain) -> Ticket:
    """Return what a level trains: a mask from the scored state, weights from the rewind.

    Where the rewind is to a ticket from elsewhere, level 1 takes its mask as well.
    """
    mask = states.given() or states.mask(run.parts.pruning)
    state, span = run.parts.rewind(states)
    return ticket_of(state, mask, span)


def found_at(states: Chain) -> dict[str, str]:
    """Return what the manifest says of the step that a rule has found to score."""
    return {"moment": str(states.moment)} if states.looked else {}


def run_branches(locked: LockedRun, level: Level, states: Chain) -> None:
    """Train every branch of a level that is not there yet with these settings.

    A branch's settings are no part of the run's identity, so its manifest says what they were.
    """
    parts = locked.run.parts
    for name in locked.run.settled.branches(level.index):
        signals.leave_if_asked()
        if branch_made(locked, level, name) and existing(locked, level.index, name):
            continue
        draw = seeds.generator("branch", name, level.index, parts.replicate)
        ticket = parts.branches[name](level.ticket, states, draw)
        obtain(locked, level.index, ticket, name, **branch_entry(locked.run, level, name))

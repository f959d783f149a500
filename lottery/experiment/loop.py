"""Run the experiment: the loop over levels."""

from lottery.experiment.chain import Chain, forget_scoring
from lottery.experiment.level import Level
from lottery.experiment.levels import branch_entry, branch_made, existing, in_branches, obtain
from lottery.experiment.run import Run
from lottery.experiment.tables import warn_of_collapse, write_tables
from lottery.machine import signals
from lottery.terms import seeds
from lottery.terms.step import Span
from lottery.terms.ticket import Ticket, ticket_of


def run_levels(run: Run) -> None:
    """Run every level that is not there yet: train, prune, rewind.

    The caller holds the run's lock and has called `checks.validate`.
    """
    origin: Level | None = None
    parent: Level | None = None
    for index in range(run.parts.levels + 1):
        signals.leave_if_asked()
        level = existing(run, index)
        if origin is None or parent is None:
            dense = Ticket(run.initial.weights, run.dense, Span(0, run.length.iteration))
            level = level or obtain(run, index, dense)
        else:
            states = Chain(run, index, origin, parent)
            level = level or obtain(run, index, next_ticket(run, states))
            warn_of_collapse(run, level)
            if in_branches(run, index):
                run_branches(run, level, states)
            forget_scoring(run, index)
        write_tables(run)
        run.watch.tables()
        origin, parent = origin or level, level


def next_ticket(run: Run, states: Chain) -> Ticket:
    """Return what a level trains: a mask from the scored state, weights from the rewind.

    Where the rewind is to a ticket from elsewhere, level 1 takes its mask as well.
    """
    mask = states.given() or states.mask(run.parts.pruning)
    state, span = run.parts.rewind(states)
    return ticket_of(state, mask, span)


def run_branches(run: Run, level: Level, states: Chain) -> None:
    """Train every branch of a level that is not there yet with these settings.

    A branch's settings are no part of the run's identity, so its manifest says what they were.
    """
    for name, branch in run.parts.branches.items():
        signals.leave_if_asked()
        if branch_made(run, level, name) and existing(run, level.index, name):
            continue
        draw = seeds.generator("branch", name, level.index, run.parts.replicate)
        ticket = branch(level.ticket, states, draw)
        obtain(run, level.index, ticket, name, **branch_entry(run, level, name))

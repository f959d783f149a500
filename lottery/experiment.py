"""Run the experiment: the loop over levels."""

from lottery import seeds, signals
from lottery.levels import Chain, Level, Run, existing, in_branches, obtain, ticket_of
from lottery.parts import Ticket
from lottery.prune import prune
from lottery.rows import write_tables
from lottery.step import Span
from lottery.train import build


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
            source = parent if run.parts.pruning.nested else origin
            states = Chain(run, index, origin, source)
            level = level or obtain(run, index, next_ticket(run, states))
            if in_branches(run, index):
                run_branches(run, level, states)
        write_tables(run)
        origin, parent = origin or level, level


def next_ticket(run: Run, states: Chain) -> Ticket:
    """Return what a level trains: a mask from the scored state, weights from the rewind."""
    how, source = run.parts.pruning, states.parent
    before = source.ticket.mask if how.nested else run.dense
    scored = source.end if how.at == "end" else source.state(states.step(how.at))
    model = build(run.parts, run.task)
    model.load_state_dict(scored.weights)
    model.to(run.task.device)
    on_device = {name: m.to(run.task.device) for name, m in before.items()}
    seed = seeds.derive("prune", run.parts.replicate)
    mask = prune(model, on_device, run.parts.schedule(states.index), run.task, seed, how)
    state, span = run.parts.rewind(states)
    return ticket_of(state, {name: m.cpu() for name, m in mask.items()}, span)


def run_branches(run: Run, level: Level, states: Chain) -> None:
    """Train every branch of a level.

    Its ticket is made anew each time: a branch's settings are no part of the run's identity, so
    the link of an earlier one says nothing.
    """
    for name, branch in run.parts.branches.items():
        signals.leave_if_asked()
        draw = seeds.generator("branch", name, level.index, run.parts.replicate)
        state, mask, span = branch(level.ticket, states, draw)
        obtain(run, level.index, ticket_of(state, mask, span), name)

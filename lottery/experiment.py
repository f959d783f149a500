"""Run the experiment: the loop over levels."""

from typing import Any

from lottery import seeds, signals, store
from lottery.levels import Chain, Level, Run, existing, in_branches, obtain, place, ticket_of
from lottery.parts import Ticket
from lottery.prune import prune
from lottery.step import Span
from lottery.store import Shelf
from lottery.tables import table
from lottery.train import build


def run_levels(run: Run) -> list[dict[str, Any]]:
    """Run every level that is not there yet: train, prune, rewind; return the rows of metrics.csv.

    The caller holds the run's lock and has called `validate`.
    """
    origin: Level | None = None
    parent: Level | None = None
    rows: list[dict[str, Any]] = []
    for index in range(run.parts.levels + 1):
        signals.leave_if_asked()
        level = existing(run, index)
        if level is None:
            if origin is None or parent is None:
                ticket = Ticket(run.initial.weights, run.dense, Span(0, run.length.iteration))
            else:
                ticket = next_ticket(run, index, origin, parent)
            level = obtain(run, index, ticket)
        origin = origin or level
        rows.append(row(run, level))
        write_tables(run, rows)
        if run.parts.branches and in_branches(run, index) and parent is not None:
            run_branches(
                run,
                level,
                Chain(run, index, origin, parent if run.parts.pruning.nested else origin),
            )
        parent = level
    return rows


def next_ticket(run: Run, index: int, origin: Level, parent: Level) -> Ticket:
    """Return what level `index` trains: a mask from the scored state, weights from the rewind."""
    how = run.parts.pruning
    source = parent if how.nested else origin
    states = Chain(run, index, origin, source)
    before = source.ticket.mask if how.nested else run.dense
    scored = source.end if how.at == "end" else source.state(states.step(how.at))
    model = build(run.parts, run.task)
    model.load_state_dict(scored.weights)
    model.to(run.task.device)
    on_device = {name: m.to(run.task.device) for name, m in before.items()}
    seed = seeds.derive("prune", run.parts.replicate)
    mask = prune(model, on_device, run.parts.schedule(index), run.task, seed, how)
    state, span = run.parts.rewind(states)
    return ticket_of(state, {name: m.cpu() for name, m in mask.items()}, span)


def run_branches(run: Run, level: Level, states: Chain) -> None:
    """Train every branch of a level and write branches.csv."""
    for name, branch in run.parts.branches.items():
        signals.leave_if_asked()
        if existing(run, level.index, name) is None:
            draw = seeds.generator("branch", name, level.index, run.parts.replicate)
            state, mask, span = branch(level.ticket, states, draw)
            obtain(run, level.index, ticket_of(state, mask, span), name)
    rows = []
    for index in range(1, level.index + 1):
        for name in run.parts.branches:
            key = store.follow(run.folder / place(index, name))
            if key and in_branches(run, index):
                found = Level(run, index, Shelf(run.outputs, key))
                rows.append({"level": index, "branch": name} | row(run, found))
    store.write(run.folder / "branches.csv", table(rows))


def row(run: Run, level: Level) -> dict[str, Any]:
    """Return a level's row of metrics.csv."""
    manifest = level.manifest
    return {
        "level": level.index,
        **manifest["result"],
        "shared": manifest["trained_by"] != run.identity,
        "key": level.shelf.key,
    }


def write_tables(run: Run, rows: list[dict[str, Any]]) -> None:
    """Write metrics.csv and layers.csv whole, from what the store holds."""
    store.write(run.folder / "metrics.csv", table(rows))
    layers = []
    for entry in rows:
        manifest = Shelf(run.outputs, entry["key"]).manifest()
        for name, (kept, total) in manifest["layers"].items():
            layers.append(
                {
                    "level": entry["level"],
                    "layer": name.removesuffix(".weight"),
                    "kept": kept,
                    "total": total,
                    "density": kept / total,
                }
            )
    store.write(run.folder / "layers.csv", table(layers))

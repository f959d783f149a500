"""Write a run's tables from the levels that its folder links to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lottery.experiment.cost import Trained, columns, trained
from lottery.experiment.level import Level
from lottery.experiment.levels import current
from lottery.experiment.run import Run
from lottery.storage import records
from lottery.storage.records import place
from lottery.storage.store import Shelf
from lottery.storage.tables import table
from lottery.terms.kept import mask_of
from lottery.training.monitor import layer_overlap

Place = tuple[int, str, Shelf]  # level, branch ("" for the level itself), where it is


def write_tables(run: Run) -> None:
    """Write metrics.csv, layers.csv and branches.csv: a row for every level there is."""
    levels, branches, layers = [], [], []
    before: Shelf | None = None
    there: dict[tuple[int, str], Trained] = {}
    for index, branch, shelf in places(run.outputs, run.ledger.levels):
        manifest = shelf.manifest()
        if known := trained(run, index, branch, shelf, manifest):
            there[index, branch] = known
        cost = columns(run, there, (index, branch))
        if branch:
            made = run.ledger.levels[place(index, branch)]
            head = {"level": index, "branch": branch, "settings": made["settings"]}
            branches.append(head | row(run, shelf, manifest, cost))
            continue
        levels.append({"level": index} | row(run, shelf, manifest, cost))
        layers += layer_rows(run, index, before, shelf, manifest)
        before = shelf
    tables = {"metrics.csv": levels, "layers.csv": layers, "branches.csv": branches}
    run.ledger.write_files({name: table(rows) for name, rows in tables.items() if rows})


def layer_rows(
    run: Run, index: int, before: Shelf | None, shelf: Shelf, manifest: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return a row a layer: what the monitors saw, and how much of the mask is that of before.

    `overlap` is the intersection over the union with the mask of the level before, `by_chance`
    what two random masks of these densities share.
    """
    found = []
    shared = compared(run, before, shelf) if before else {}
    for name, layer in manifest["layers"].items():
        kept, total = layer["kept"], layer["total"]
        common = dict(zip(("overlap", "by_chance"), shared.get(name, ("", "")), strict=True))
        head = {"level": index, "compression": manifest["result"]["compression"]}
        own = {"layer": name.removesuffix(".weight"), "kept": kept, "total": total}
        found.append(head | own | {"density": kept / total} | layer | common)
    return found


def compared(run: Run, one: Shelf, other: Shelf) -> dict[str, tuple[float, float]]:
    """Return overlap and overlap by chance of two levels' masks, a layer; {} where they differ."""
    pair = (one.key, other.key)
    if pair not in run.compared:
        a, b = mask_of(one), mask_of(other)
        run.compared[pair] = layer_overlap(a, b) if a.keys() == b.keys() else {}
    return run.compared[pair]  # type: ignore[no-any-return]


def warn_of_collapse(run: Run, level: Level) -> None:
    """Warn where a level's mask cuts layers off: which, at what compression, and what is left.

    Layers without any weight are the cause and are named first; where one of them was the only
    way through, every other layer is cut off with it.
    """
    layers, result = level.manifest["layers"], level.manifest["result"]
    lost = [name.removesuffix(".weight") for name, layer in layers.items() if layer["collapsed"]]
    empty = [name.removesuffix(".weight") for name, layer in layers.items() if not layer["kept"]]
    if not lost:
        return
    cause = empty or lost
    named = ", ".join(cause[:4]) + (f" and {len(cause) - 4} more" if len(cause) > 4 else "")
    state = "without a weight left" if empty else "off every path from input to output"
    end = "; no signal reaches the output" if len(lost) == len(layers) else ""
    run.watch.warn(
        f"level {level.index}: layer collapse at {result['compression']:.4g}x compression: "
        f"{named} {state}{end} (prune/allocation=uniform prunes every layer alike)",
        "collapse",
        level.index,
    )


def places(outputs: Path, entries: Mapping[str, Mapping[str, Any]]) -> list[Place]:
    """Return the levels and branches of a run's manifest that are in the store, in order."""
    found = []
    for name, entry in entries.items():
        shelf, at = current(outputs, entry), records.position(name)
        if at and shelf:
            found.append((*at, shelf))
    return sorted(found, key=lambda place: place[:2])


def row(
    run: Run, shelf: Shelf, manifest: dict[str, Any], cost: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a table says of a trained level."""
    shared = manifest["trained_by"] != run.identity
    return {**manifest["result"], **cost, "shared": shared, "key": shelf.key}


def read_rows(run: Run) -> list[dict[str, Any]]:
    """Return the rows of the levels that were asked for."""
    return [
        {"level": index} | row(run, shelf, shelf.manifest(), {})
        for index, branch, shelf in places(run.outputs, run.ledger.levels)
        if not branch and index <= run.parts.levels
    ]

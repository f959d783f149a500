"""Write a run's tables from the levels that its folder links to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lottery.errors import DamagedError
from lottery.experiment.cost import Trained, columns, trained
from lottery.experiment.level import Level
from lottery.experiment.levels import current
from lottery.experiment.run import LockedRun, Run
from lottery.storage import records
from lottery.storage.records import place
from lottery.storage.store import Shelf
from lottery.storage.tables import table
from lottery.terms.kept import mask_of, ticket_on
from lottery.terms.mask import Mask
from lottery.terms.overlap import Shared, overlap
from lottery.terms.step import Span

Place = tuple[int, str, Shelf]  # level, branch ("" for the level itself), where it is


class Tables:
    """The tables of a run, of the levels that its manifest names.

    Masks and tickets are read from the store once, however often a table is written.
    """

    def __init__(self, locked: LockedRun) -> None:
        self.locked, self.run = locked, locked.run
        self.shared: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}  # by two keys
        self.spans: dict[str, tuple[Span, bool]] = {}  # by key

    def write(self) -> None:
        """Write metrics.csv, layers.csv and branches.csv: a row for every level there is."""
        self.locked.ledger.write_files(self.made())

    def made(self) -> dict[str, bytes]:
        """Return the tables by the names of their files."""
        run, entries = self.run, self.locked.ledger.levels
        levels, branches, layers = [], [], []
        before: Shelf | None = None
        there: dict[tuple[int, str], Trained] = {}
        for index, branch, shelf in places(run.outputs, entries):
            manifest = shelf.manifest()
            if known := self.trained(index, branch, shelf, manifest):
                there[index, branch] = known
            cost = columns(run, there, (index, branch))
            if branch:
                made = entries[place(index, branch)]
                head = {"level": index, "branch": branch, "settings": made["settings"]}
                branches.append(head | row(run, shelf, manifest, cost))
                continue
            levels.append({"level": index} | row(run, shelf, manifest, cost))
            shared = self.overlap(before, shelf) if before else {}
            layers += layer_rows(index, manifest, shared)
            before = shelf
        tables = {"metrics.csv": levels, "layers.csv": layers, "branches.csv": branches}
        return {name: table(rows) for name, rows in tables.items() if rows}

    def overlap(self, one: Shelf, other: Shelf) -> dict[str, tuple[float, float]]:
        """Return overlap and overlap by chance of two masks, a layer; {} where layers differ."""
        pair = (one.key, other.key)
        if pair not in self.shared:
            a, b = mask_of(one), mask_of(other)
            self.shared[pair] = overlaps(a, b) if a.keys() == b.keys() else {}
        return self.shared[pair]

    def trained(
        self, index: int, branch: str, shelf: Shelf, manifest: dict[str, Any]
    ) -> Trained | None:
        """Return what the cost of a level follows from; None for a branch of a damaged ticket."""
        span, held = self.run.settled.span(index), False
        if branch:
            try:
                span, held = self.branch_span(index, branch, shelf)
            except DamagedError as error:
                name = place(index, branch)
                self.run.watch.warn(f"branches.csv has no cost of {name}: {error}")
                return None
        return trained(self.run, shelf, manifest, span, held)

    def branch_span(self, index: int, branch: str, shelf: Shelf) -> tuple[Span, bool]:
        """Return the steps that a branch trains, and whether pruned weights keep their values.

        What the config says where it is about this branch; else, for one that an earlier command
        asked for, what its ticket says.
        """
        made = self.locked.ledger.levels.get(place(index, branch), {})
        asked = made.get("settings") == self.run.parts.branch_settings.get(branch)
        if asked and not self.run.settled.rewind.scored:  # which is another step for each level
            does = self.run.settled.branch(branch, index)
            return does.span, does.held
        if shelf.key not in self.spans:
            ticket = ticket_on(shelf)
            self.spans[shelf.key] = (ticket.span, ticket.held)
        return self.spans[shelf.key]


def overlaps(a: Mask, b: Mask) -> dict[str, tuple[float, float]]:
    """Return overlap and overlap by chance of two masks of the same layers, a layer."""
    return {name: overlap([shared(keep, b[name])]) for name, keep in a.items()}


def shared(one: Tensor, other: Tensor) -> Shared:
    """Return how many weights of a layer both of its masks keep, and either."""
    both, m, n = (int(mask.count_nonzero()) for mask in (one & other, one, other))
    return Shared(both, m, n, one.numel())


def layer_rows(
    index: int, manifest: dict[str, Any], shared: Mapping[str, tuple[float, float]]
) -> list[dict[str, Any]]:
    """Return a row a layer: what the monitors saw, and how much of the mask is that of before.

    `overlap` is the intersection over the union with the mask of the level before, `by_chance`
    what two random masks of these densities share.
    """
    found = []
    for name, layer in manifest["layers"].items():
        kept, total = layer["kept"], layer["total"]
        common = dict(zip(("overlap", "by_chance"), shared.get(name, ("", "")), strict=True))
        head = {"level": index, "compression": manifest["result"]["compression"]}
        own = {"layer": name.removesuffix(".weight"), "kept": kept, "total": total}
        found.append(head | own | {"density": kept / total} | layer | common)
    return found


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


def read_rows(locked: LockedRun) -> list[dict[str, Any]]:
    """Return the rows of the levels that were asked for."""
    run = locked.run
    return [
        {"level": index} | row(run, shelf, shelf.manifest(), {})
        for index, branch, shelf in places(run.outputs, locked.ledger.levels)
        if not branch and index <= run.parts.levels
    ]

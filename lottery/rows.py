"""Write a run's tables from the levels that its folder links to."""

import re
from typing import Any

from lottery import store
from lottery.levels import Run
from lottery.store import Shelf
from lottery.tables import table

PLACE = re.compile(r"level_(\d+)(?:_(.+))?")


def write_tables(run: Run) -> None:
    """Write metrics.csv, layers.csv and branches.csv: a row for every level there is."""
    levels, branches, layers = [], [], []
    for index, branch, shelf in places(run):
        manifest = shelf.manifest()
        if branch:
            branches.append({"level": index, "branch": branch} | row(run, shelf, manifest))
            continue
        levels.append({"level": index} | row(run, shelf, manifest))
        for name, (kept, total) in manifest["layers"].items():
            layer = {"level": index, "layer": name.removesuffix(".weight")}
            layers.append(layer | {"kept": kept, "total": total, "density": kept / total})
    for name, rows in {"metrics": levels, "layers": layers, "branches": branches}.items():
        if rows:
            store.write_if_new(run.folder / f"{name}.csv", table(rows))


def places(run: Run) -> list[tuple[int, str, Shelf]]:
    """Return level, branch ("" for the level itself) and shelf of every link, in order."""
    found = []
    for path in run.folder.iterdir():
        match = PLACE.fullmatch(path.name)
        key = store.follow(path) if match else None
        if match and key and Shelf(run.outputs, key).complete:
            found.append((int(match[1]), match[2] or "", Shelf(run.outputs, key)))
    return sorted(found, key=lambda place: place[:2])


def row(run: Run, shelf: Shelf, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what a table says of a trained level."""
    shared = manifest["trained_by"] != run.identity
    return {**manifest["result"], "shared": shared, "key": shelf.key}


def read_rows(run: Run) -> list[dict[str, Any]]:
    """Return the rows of the levels that were asked for."""
    return [
        {"level": index} | row(run, shelf, shelf.manifest())
        for index, branch, shelf in places(run)
        if not branch and index <= run.parts.levels
    ]

"""Gather many runs into tidy pandas tables: one row an observation. Imports no torch."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lottery import records, results
from lottery.errors import DamagedError
from lottery.files import CONFIG, read_plain

WHOSE = ("name", "id", "replicate", "model", "dataset", "method", "rewind")  # of every table


@dataclass(frozen=True)
class Runs:
    """Runs on the disk. Each table is read when it is asked for, and then kept.

    Every table begins with the columns of `WHOSE`; accuracies and densities are shares of 1.
    """

    folders: tuple[Path, ...]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row a run: how far it came, what it reached, its state, its folder."""
        rows = []
        for folder in self.folders:
            said = results.describe(folder)
            rows.append(whose(folder) | {k: said[k] for k in said if k not in ("run", "id")})
            rows[-1]["folder"] = str(folder)
        return pd.DataFrame(rows)

    @cached_property
    def levels(self) -> pd.DataFrame:
        """A row a level of a run: metrics.csv of all of them."""
        return self._all(results.metrics)

    @cached_property
    def branches(self) -> pd.DataFrame:
        """A row a branch of a level: branches.csv of all of them."""
        return self._all(results.branches)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """A row a layer of a level: layers.csv of all of them."""
        return self._all(lambda folder: results.read_table(folder, "layers.csv"))

    @cached_property
    def overlaps(self) -> pd.DataFrame:
        """A row a level and other run: overlaps.csv of all of them."""
        return self._all(lambda folder: results.read_table(folder, "overlaps.csv"))

    @cached_property
    def curves(self) -> pd.DataFrame:
        """A row an evaluation: curve.csv of every level and branch ("" for the level itself)."""
        return self._all(lambda folder: joined(list(curves(folder))))

    def _all(self, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
        tables = []
        for folder in self.folders:
            table = read(folder)
            for place, (column, value) in enumerate(whose(folder).items() if len(table) else ()):
                if column in table:
                    table = table.rename(columns={column: f"own_{column}"})
                table.insert(place, column, value)
            tables.append(table)
        return joined(tables)


def load(outputs: Path | str = "outputs", *words: str) -> Runs:
    """Return the runs under `outputs` whose name, id or path holds each of the words."""
    folders = results.run_folders(Path(outputs))
    return Runs(tuple(f for f in folders if all(word in str(f) for word in words)))


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables one below the other; empty ones leave no trace."""
    some = [table for table in tables if len(table)]
    return pd.concat(some, ignore_index=True) if some else pd.DataFrame()


def whose(folder: Path) -> dict[str, Any]:
    """Return the columns that say which run a row is of."""
    chosen = records.read_record(folder).get("choices", {})
    settings = {} if {"model", "dataset", "prune", "rewind"} <= chosen.keys() else read(folder)
    prune = settings.get("prune", {})

    def word(group: str, node: Any) -> str:
        return str(chosen.get(group) or (node.get("name", "?") if isinstance(node, dict) else "?"))

    return {
        "name": folder.parent.parent.name,
        "id": folder.parent.name,
        "replicate": int(folder.name.removeprefix("replicate_")),
        "model": word("model", settings.get("model")),
        "dataset": word("dataset", settings.get("dataset")),
        "method": word("prune", prune.get("criterion") if isinstance(prune, dict) else None),
        "rewind": word("rewind", settings.get("rewind")),
    }


def read(folder: Path) -> dict[str, Any]:
    """Return the settings of a run as data; {} where they cannot be read."""
    try:
        found = yaml.safe_load(read_plain(folder / "config.yaml", CONFIG))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def curves(folder: Path) -> Iterator[pd.DataFrame]:
    """Yield the curve of every level and branch of a run, with both in front."""
    for place, entry in records.levels(folder).items():
        match = records.PLACE.fullmatch(place)
        text = level_file(folder.parents[2], entry["key"], "curve.csv")
        if match and text:
            table = pd.read_csv(io.BytesIO(text))
            table.insert(0, "level", int(match[1]))
            table.insert(1, "branch", match[2] or "")
            yield table


def level_file(outputs: Path, key: str, name: str) -> bytes | None:
    """Return a file of a trained level as its manifest vouches for it; None for no such level.

    Raises DamagedError for a file that is not as it was written.
    """
    shelf = outputs / "store" / key
    try:
        manifest = records.read_signed(shelf / records.MANIFEST)
        data = read_plain(shelf / name)
    except FileNotFoundError:
        return None
    if records.digest(data) != manifest.get("files", {}).get(name):
        raise DamagedError(f"{shelf / name} is damaged (its checksum is wrong)")
    return data

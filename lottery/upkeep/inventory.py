"""See what lies under outputs/ as it is: runs, levels, and who refers to what. Imports no torch.

Follows no link, opens plain files only and takes no name on trust, so that it can look at a folder
that came from elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lottery.errors import DamagedError, DiskError
from lottery.storage.records import CORRUPT, KEY, MANIFEST
from lottery.upkeep.entries import Replicate, Shelved, kind, look

STATE = "it.safetensors"


@dataclass
class References:
    """Which runs refer to which level, and whose references cannot be read."""

    runs: dict[str, list[Path]] = field(default_factory=dict)  # key -> folders of runs
    unknown: dict[Path, str] = field(default_factory=dict)  # folder -> why

    def __contains__(self, key: str) -> bool:
        return key in self.runs


class Inventory:
    """What lies under one outputs folder. Looks anew at every call, since runs may be at work."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.store = outputs / "store"
        self._read: dict[Path, tuple[object, set[str] | str]] = {}

    def levels(self) -> list[Shelved]:
        """Return the folders of the store that can be a level."""
        return [
            Shelved(Path(e.path))
            for e in look(self.store)
            if KEY.fullmatch(e.name) and e.is_dir(follow_symlinks=False)
        ]

    def runs(self) -> list[Replicate]:
        """Return the replicate folders."""
        return [Replicate(path) for path in self._deep() if kind(path) == "folder"]

    def links(self) -> list[Path]:
        """Return the links out of outputs where runs or the store could stand; none is followed."""
        found = [Path(e.path) for e in look(self.outputs)]
        found += [Path(e.path) for name in self._names() for e in look(name)]
        found += self._deep()
        return [path for path in found if kind(path) == "link" and self._leads_out(path)]

    def _leads_out(self, link: Path) -> bool:
        """Say whether a link names a folder elsewhere, or one that cannot be reached now."""
        real, target = os.path.realpath(self.outputs), os.path.realpath(link)
        inside = target == real or target.startswith(real + os.sep)
        return not inside and not os.path.isfile(target)

    def _names(self) -> list[Path]:
        return [
            Path(e.path)
            for e in look(self.outputs)
            if e.name != "store" and e.is_dir(follow_symlinks=False)
        ]

    def _deep(self) -> Iterator[Path]:
        for name in self._names():
            for base in look(name):
                for entry in look(Path(base.path)):
                    if entry.name.removeprefix("replicate_").isdigit():
                        yield Path(entry.path)

    def references(self, without: Collection[Path] = ()) -> References:
        """Return who refers to which level: by manifest or by link, whichever says so.

        A manifest is the truth, but one that is being made again after damage names fewer levels
        than the run has. `without` leaves runs out.
        """
        found = References()
        for run in self.runs():
            if run.path in without:
                continue
            keys = self._keys(run)
            if isinstance(keys, str):
                found.unknown[run.path] = keys
                continue
            for key in keys:
                found.runs.setdefault(key, []).append(run.path)
        for path in self.links():
            found.unknown[path] = "it is a link, which is not followed"
        return found

    def _keys(self, run: Replicate) -> set[str] | str:
        """Return the keys that a run refers to, or why they cannot be told; read once a change."""
        manifest = run.path / MANIFEST
        try:
            seen = os.lstat(manifest)
            mark: object = (seen.st_mtime_ns, seen.st_ino, seen.st_size, tuple(run.links.items()))
        except OSError:
            mark = tuple(run.links.items())
        if run.path not in self._read or self._read[run.path][0] != mark:
            self._read[run.path] = (mark, keys_of(run))
        return self._read[run.path][1]


def keys_of(run: Replicate) -> set[str] | str:
    """Return the keys of the levels that a run refers to, or why they cannot be told."""
    linked = {key for key in run.links.values() if key}
    try:
        entries = run.manifest()["levels"].values()
    except (DamagedError, DiskError) as error:
        return str(error)
    words = [entry.get(word) for entry in entries for word in ("key", "of")]
    named = {word for word in words if isinstance(word, str)}
    aside = kind(run.path / (MANIFEST + CORRUPT)) or kind(run.path / "metrics.csv")
    if not named and not linked and aside:
        return f"{run.path / MANIFEST} is missing, and so are the links"
    return named | linked

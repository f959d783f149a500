"""Keep a run's manifest: which levels of the store are its own, and what its tables are."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lottery.errors import DamagedError
from lottery.storage import disk
from lottery.storage.checkpoints import set_aside
from lottery.storage.files import digest, read_plain
from lottery.storage.records import MANIFEST, read_manifest, signed, whose


class Ledger:
    """The manifest of one run, read once and written whenever it changes; under the run's lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.levels: dict[str, dict[str, Any]] = {}
        self.files: dict[str, list[str]] = {}
        self.forgotten = False  # and not yet written down

    def read(self, warn: Callable[[str], None]) -> None:
        """Read what stands there; a damaged one is set aside, and begun again empty.

        The levels of a run are found again by what they are made of; none is trained twice.
        """
        try:
            found = read_manifest(self.folder)
        except DamagedError as error:
            aside = set_aside(self.folder / MANIFEST)
            warn(f"{error}; it is kept as {aside.name}, and made again from the levels")
            return
        self.levels, self.files = found["levels"], found["files"]

    def forget(self) -> None:
        """Trust no level that stands here, until it was found again by its key.

        The next `write_files` writes that down, before run.json says what the run is made of now:
        a command that is killed in between must not leave old levels under it.
        """
        self.levels = {}
        self.forgotten = True

    def note(self, place: str, **entry: str) -> None:
        """Write down which level of the store stands at a place of the run."""
        if self.levels.get(place) != entry:
            self.levels[place] = entry
            self._write()

    def write_files(self, contents: Mapping[str, bytes]) -> None:
        """Write files of the run, after their checksums.

        Both the new checksum and the one before stand in the manifest, so that a reader who comes
        in between, or after a kill, finds what it vouches for.
        """
        changed = {}
        for name, data in contents.items():
            known = self.files.get(name, [])
            if known[:1] != [digest(data)]:
                there = self._there(name)
                changed[name] = [digest(data), *([there] if there in known else [])]
        if changed or self.forgotten:
            self.files |= changed
            self._write()
        for name, data in contents.items():
            disk.write_if_new(self.folder / name, data)

    def _there(self, name: str) -> str:
        """Return the checksum of a file as it stands now; "" where there is none to vouch for."""
        path = self.folder / name
        try:
            with disk.touching(path, "read"), contextlib.suppress(FileNotFoundError):
                return digest(read_plain(path))
        except ValueError:  # a pipe, or whatever else is no file of ours
            pass
        return ""

    def _write(self) -> None:
        body = {"run": whose(self.folder), "levels": self.levels, "files": self.files}
        disk.write_json(self.folder / MANIFEST, signed(body))
        self.forgotten = False

"""Say what a file, a level or a run under outputs/ is, without trusting any of it."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lottery.errors import DamagedError, LotteryError
from lottery.storage.records import (
    ANALYSED,
    ANALYSES,
    CHECKPOINT,
    KEY,
    MANIFEST,
    locked,
    position,
    read_manifest,
    read_record,
    read_signed,
)
from lottery.wording.commands import from_here

LOCK = ".lock"
LONGEST_POINTER = 4096  # bytes


def look(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name; nothing where it is a link or cannot be read."""
    try:
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            return []
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda e: e.name)
    except OSError:
        return []


def kind(path: Path) -> str:
    """Return what stands at a path: file, folder, link, other, or "" for nothing."""
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return ""
    known = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return known.get(stat.S_IFMT(mode), "other")


def must_be_plain(path: Path) -> None:
    """Raise DamagedError for a link, a folder or a pipe where a file has to stand.

    Opening a pipe would wait for ever.
    """
    found = kind(path)
    if found not in ("file", ""):
        raise DamagedError(f"{path} is damaged (it is no plain file)")


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files beneath a folder; a link has none."""
    found = kind(path)
    if found == "folder":
        return sum(size(Path(entry.path)) for entry in look(path))
    try:
        return os.lstat(path).st_size if found == "file" else 0
    except OSError:
        return 0


def digest_of(path: Path) -> str:
    """Return the sha256 of a plain file, read in blocks; raises OSError."""
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # Windows has neither
    handle = os.open(path, os.O_RDONLY | careful)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("it is no plain file")
        return hashlib.file_digest(file, "sha256").hexdigest()


def held(folder: Path) -> bool:
    """Say whether a process holds the lock of a run or of a level."""
    return kind(folder / LOCK) == "file" and locked(folder / LOCK)


@dataclass(frozen=True)
class Shelved:
    """A folder of the store: one level, finished or not."""

    path: Path

    @property
    def key(self) -> str:
        return self.path.name

    @cached_property
    def files(self) -> dict[str, int]:
        """Name and bytes of every plain file."""
        return {e.name: size(Path(e.path)) for e in look(self.path) if kind(Path(e.path)) == "file"}

    @property
    def complete(self) -> bool:
        return kind(self.path / MANIFEST) != ""

    @property
    def checkpoints(self) -> list[str]:
        """Names of the checkpoints, damaged ones included."""
        return [name for name in self.files if name.startswith(CHECKPOINT)]

    def manifest(self) -> dict[str, Any]:
        """Return the manifest; raises DamagedError unless it is as written."""
        must_be_plain(self.path / MANIFEST)
        found = read_signed(self.path / MANIFEST)
        names = found.get("files")
        if not isinstance(names, dict) or not all(map(plain_name, names)):
            raise DamagedError(f"{self.path / MANIFEST} is damaged (it is no manifest of a level)")
        if found.get("key") != self.key:
            whose = f"it is that of the level {found.get('key')!r}"
            raise DamagedError(f"{self.path / MANIFEST} is damaged ({whose})")
        return found


def plain_name(name: str) -> bool:
    """Say whether a manifest may call a file of its folder so."""
    return bool(name) and name not in (".", "..") and not {"/", "\\", "\0"} & set(name)


@dataclass(frozen=True)
class Replicate:
    """A folder of a run."""

    path: Path

    @cached_property
    def record(self) -> dict[str, Any]:
        """What run.json says; a damaged one says only that."""
        try:
            must_be_plain(self.path / "run.json")
        except DamagedError as error:
            return {"state": "damaged", "error": str(error)}
        return read_record(self.path)

    def manifest(self) -> dict[str, Any]:
        """Return the manifest; raises DamagedError or DiskError unless it is as written."""
        must_be_plain(self.path / MANIFEST)
        return read_manifest(self.path)

    @cached_property
    def links(self) -> dict[str, str | None]:
        """Place -> key of the level that its link names; None where it is no link of ours."""
        found = [e.name for e in look(self.path) if position(e.name)]
        inside = (f"{ANALYSES}/{e.name}" for e in look(self.path / ANALYSES))
        found += [name for name in inside if ANALYSED.fullmatch(name)]
        return {name: pointed(self.path / name) for name in found}

    @property
    def state(self) -> str:
        """How the run stands; one that is not at work any more was killed."""
        said = str(self.record.get("state", "not begun"))
        if said != "running" or held(self.path):
            return said
        now = str(Replicate(self.path).record.get("state"))  # it may have ended just now
        return "killed" if now == said else now

    @property
    def command(self) -> str:
        """What to type to start the run from here; "" where that is not known."""
        said = self.record.get("command")
        return from_here(said, self.path.absolute().parents[2]) if isinstance(said, str) else ""


def pointed(place: Path) -> str | None:
    """Return the key that a level's link, or the pointer file in its stead, names."""
    try:
        if kind(place) == "link":
            target = os.readlink(place)
        elif kind(place) == "file" and size(place) <= LONGEST_POINTER:
            target = place.read_text(errors="replace").strip()
        else:
            return None
    except OSError:
        return None
    name = target.replace("\\", "/").rsplit("/", 1)[-1]
    return name if KEY.fullmatch(name) else None


def reason(error: LotteryError | OSError) -> str:
    """Return why something cannot be read, without the path that the reader knows."""
    text = getattr(error, "strerror", None) or str(error)
    return text.partition(" is damaged (")[2].removesuffix(")") or text

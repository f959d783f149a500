"""Find what nobody needs any more under outputs/, and remove it without ever taking what is needed.

What goes is planned first, from what is seen; each piece is looked at again under its locks just
before it goes. A level's or a run's manifest goes first, so that a kill leaves nothing that looks
whole, and the same command finishes the work. A run that finds a level in the store writes it into
its own manifest while it holds the level's lock, so no reference can appear unseen.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from lottery.errors import LotteryError, UsageError
from lottery.results import choice
from lottery.storage.claims import CLAIM
from lottery.storage.files import TEMPORARY
from lottery.storage.records import CHECKPOINT, CORRUPT, MANIFEST, SCORING, locked
from lottery.upkeep.entries import LOCK, Replicate, Shelved, held, kind, look, size
from lottery.upkeep.inventory import STATE, Inventory, References

KINDS = {
    "levels": "levels that no run refers to",
    "states": "states in the middle of levels; a run that needs one replays it, bit for bit",
    "unfinished": "levels that were interrupted: what they have been trained so far is lost",
    "corrupt": "files that were set aside as damaged, or half-written by a process that is gone",
    "run": "whole runs, with all that lies in their folders",
}


@dataclass(frozen=True)
class Piece:
    """Something that can go: a whole folder, or some files of it."""

    kind: str
    folder: Path
    why: str
    size: int
    names: tuple[str, ...] = ()  # the files that go; none: the whole folder
    locks: tuple[Path, ...] = ()  # the folders whose locks must be held


def unreferenced(inventory: Inventory, without: Collection[Path] = ()) -> Iterator[Piece]:
    """Yield the levels that no run refers to.

    `without`: runs that go, too; then only the levels that nobody but these refers to.
    """
    refer, gone = inventory.references(without), References()
    if without:
        gone = inventory.references()
    for shelf in inventory.levels():
        if shelf.key in refer or (without and shelf.key not in gone) or held(shelf.path):
            continue
        if shelf.complete:
            yield whole("levels", shelf.path, "no run refers to it")
        elif not shelf.checkpoints and not without:
            yield whole("levels", shelf.path, "half removed, or never begun")


def whole(kind_of: str, folder: Path, why: str) -> Piece:
    """Return a folder as a piece."""
    return Piece(kind_of, folder, why, size(folder), locks=(folder,))


def states(inventory: Inventory) -> Iterator[Piece]:
    """Yield the intermediate states of finished levels; not of those that a run at work has."""
    refer = inventory.references()
    for shelf in inventory.levels():
        names = state_names(shelf)
        if names and not held(shelf.path) and not at_work(refer, shelf.key):
            total = sum(shelf.files[n] for n in names)
            yield Piece("states", shelf.path, ", ".join(names), total, names, (shelf.path,))


def state_names(shelf: Shelved) -> tuple[str, ...]:
    """Return the names of a finished level's states, and of checkpoints that outlived it."""
    if not shelf.complete:
        return ()
    return tuple(
        n
        for n in shelf.files
        if (n.endswith(STATE) and n.removesuffix(STATE).isdigit())
        or (n.startswith(CHECKPOINT) and not n.endswith(CORRUPT))
    )


def at_work(refer: References, key: str) -> bool:
    """Say whether a run that refers to a level is at work."""
    return any(held(folder) for folder in refer.runs.get(key, ()))


def stray(inventory: Inventory) -> Iterator[Piece]:
    """Yield the states and checkpoints of finished levels that no manifest names."""
    for shelf in inventory.levels():
        with contextlib.suppress(LotteryError, OSError):
            listed = shelf.manifest()["files"]
            names = tuple(n for n in state_names(shelf) if n not in listed)
            if names and not held(shelf.path):
                total = sum(shelf.files[n] for n in names)
                yield Piece("states", shelf.path, ", ".join(names), total, names, (shelf.path,))


def unfinished(inventory: Inventory) -> Iterator[Piece]:
    """Yield the levels that were interrupted and that nobody trains now."""
    for shelf in inventory.levels():
        if not shelf.complete and shelf.checkpoints and not held(shelf.path):
            steps = [n.split("-")[1] for n in shelf.checkpoints]
            newest = max((int(s) for s in steps if s.isdigit()), default=0)
            yield whole("unfinished", shelf.path, f"trained up to step {newest}")


def corrupt(inventory: Inventory) -> Iterator[Piece]:
    """Yield what was set aside as damaged, and what was never finished writing."""
    bases: dict[Path, list[Path]] = {}
    for run in inventory.runs():
        bases.setdefault(run.path.parent, []).append(run.path)
        inner = [Path(e.path) for e in look(run.path) if e.name.startswith(SCORING)]
        for folder in (run.path, *inner):
            yield from leavings(folder, (run.path,), vital(folder))
    for base, folders in bases.items():  # who writes there holds the lock of a replicate
        yield from leavings(base, tuple(folders), ())
    for shelf in inventory.levels():
        yield from leavings(shelf.path, (shelf.path,), vital(shelf.path))


def vital(folder: Path) -> tuple[str, ...]:
    """Return which damaged files stay: those that keep a run from beginning anew in silence."""
    if kind(folder / MANIFEST):
        return ()
    names = [e.name for e in look(folder)]
    good = [n for n in names if n.startswith(CHECKPOINT) and not n.endswith(CORRUPT)]
    return (MANIFEST,) if good else (MANIFEST, CHECKPOINT)


def leavings(folder: Path, locks: tuple[Path, ...], keep: tuple[str, ...]) -> Iterator[Piece]:
    """Yield the damaged and the half-written files of one folder, unless its writer is at work."""
    if any(map(held, locks)):
        return
    there = [e.name for e in look(folder)]
    aside = [n for n in there if n.endswith(CORRUPT) and not n.startswith((*keep, TEMPORARY))]
    half = [n for n in there if n.startswith(TEMPORARY) and not at_work_in(folder / n)]
    names = tuple(aside + half)
    if names:
        total = sum(size(folder / n) for n in names)
        yield Piece("corrupt", folder, ", ".join(names), total, names, locks)


def at_work_in(path: Path) -> bool:
    """Say whether a process works in a folder that is half-made; leaves it as it is."""
    claim = path / CLAIM
    return kind(path) == "folder" and kind(claim) == "file" and locked(claim)


def chosen(inventory: Inventory, words: list[str], filters: list[str]) -> list[Replicate]:
    """Return the runs that words name (a name, the start of an id, a path) and filters keep.

    Without words the filters keep of all, without either there are none. Raises UsageError for a
    word that names none, and for filters that leave none.
    """
    runs = inventory.runs()
    found: dict[Path, Replicate] = {}
    for word in words:
        named = {r.path: r for r in runs if is_named(r.path, word)}
        if not named:
            raise UsageError(f"clean: run={word} names no run; lottery ls shows them")
        found |= named
    if not filters:
        return list(found.values())
    kept = set(map(os.path.abspath, choice.choose(inventory.outputs, filters, "clean")))
    some = list(found.values()) if words else runs
    left = [run for run in some if os.path.abspath(run.path) in kept]
    if not left:
        raise UsageError(f"clean: no run is left by {' '.join(filters)}; lottery ls shows them")
    return left


def is_named(folder: Path, word: str) -> bool:
    """Say whether a word names a replicate's folder: by path, by its run's name, id or both."""
    absolute = Path(os.path.abspath(folder))
    if Path(os.path.abspath(word)) in (absolute, absolute.parent):
        return True
    head, _, number = word.partition("/replicate_")
    name, run_id = folder.parents[1].name, folder.parent.name
    told = bool(head) and (run_id.startswith(head) or head in (name, f"{name}/{run_id}"))
    return told and number in ("", folder.name.removeprefix("replicate_"))


def remove(inventory: Inventory, piece: Piece) -> str:
    """Remove a piece; return why it is needed after all, or "" where it is gone.

    Raises LotteryError where it could not be removed.
    """
    from lottery.storage import disk, locks

    with disk.touching(piece.folder, "remove"), contextlib.ExitStack() as held_locks:
        for folder in piece.locks:
            if kind(folder) != "folder":
                return ""
            held_locks.enter_context(locks.lock(folder / LOCK, run=True))
        if wanted := still_needed(inventory, piece):
            return wanted
        if piece.kind == "states":
            forget(piece)
        if piece.names:
            for name in piece.names:
                half = name.startswith(TEMPORARY)
                (disk.remove_left if half else delete)(piece.folder / name)
            disk.sync_folder(piece.folder)
            if busy := [name for name in piece.names if at_work_in(piece.folder / name)]:
                return f"a process works in {', '.join(busy)}"
        else:
            take_down(piece.folder)
    if piece.kind == "run":
        tidy(piece.folder.parent)
    return ""


def still_needed(inventory: Inventory, piece: Piece) -> str:
    """Return why a piece must stay after all; the caller holds its locks."""
    shelf = Shelved(piece.folder)
    if piece.kind == "unfinished" and shelf.complete:
        return "it has been finished meanwhile"
    if piece.kind not in ("levels", "states"):
        return ""
    refer = inventory.references()
    if piece.kind == "states":
        return "a run at work refers to it" if at_work(refer, shelf.key) else ""
    if shelf.key in refer:
        return f"{refer.runs[shelf.key][0]} refers to it now"
    return unknown(refer)


def unknown(refer: References) -> str:
    """Return why it cannot be told what no run refers to; "" where it can."""
    for folder, text in refer.unknown.items():
        return f"what {folder} refers to is not known ({text})"
    return ""


def forget(piece: Piece) -> None:
    """Sign the manifest of a level anew, without the states that go."""
    from lottery.storage.store import Shelf

    shelf = Shelf(piece.folder.parents[1], piece.folder.name)
    manifest = shelf.manifest()
    left = {n: sha for n, sha in manifest["files"].items() if n not in piece.names}
    if left != manifest["files"]:
        shelf.finish(manifest | {"files": left})


def take_down(folder: Path) -> None:
    """Remove a folder whose lock is held: the manifest first, the lock last."""
    from lottery.storage import disk

    delete(folder / MANIFEST)
    disk.sync_folder(folder)
    for entry in look(folder):
        if entry.name != LOCK:
            delete(Path(entry.path))
    delete(folder / LOCK)
    with contextlib.suppress(OSError):  # a run that waited for the lock is in it already
        folder.rmdir()


def tidy(base: Path) -> None:
    """Remove the folders above a run that has gone, and what was made of its replicates.

    Where another replicate is there, or anything else, they stay.
    """
    if [e.name for e in look(base)] == ["sanity.csv"]:
        delete(base / "sanity.csv")
    with contextlib.suppress(OSError):
        base.rmdir()
        base.parent.rmdir()


def delete(path: Path) -> None:
    """Remove a file, a link, or a folder with all in it; what is gone already is fine."""
    with contextlib.suppress(FileNotFoundError):
        if kind(path) == "folder":
            shutil.rmtree(path)
        else:
            os.unlink(path)

"""Find what is damaged under outputs/, and say of each what to type; mend what can be mended."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lottery.errors import DiskError, LotteryError
from lottery.storage.packs import left_out, packed
from lottery.storage.records import (
    ANALYSES,
    CORRUPT,
    FINDINGS,
    MANIFEST,
    OWNER,
    RUN,
    UNREAD,
    owner,
    owner_file,
    read_owner,
    read_signed,
)
from lottery.upkeep.entries import (
    LOCK,
    Replicate,
    Shelved,
    digest_of,
    held,
    kind,
    must_be_plain,
    reason,
)
from lottery.upkeep.inventory import Inventory
from lottery.wording.text import near, outputs_word, rm

COPIED = "a folder stands in place of the link"
TRIES = 3  # looks at a folder that changes meanwhile
UNREADABLE = "cannot be read"  # begins what the disk did not let be read: no damage


@dataclass(frozen=True)
class Finding:
    """One line: where, what, and what to type; `command` is empty where there is nothing to."""

    where: Path | str
    what: str
    command: str = ""


def again(run: Replicate) -> str:
    """Return what to type to go on with a run, or to have its tables written again."""
    return run.command or "the command that made this run (its settings are in config.yaml)"


def locks(inventory: Inventory) -> list[Finding]:
    """Return the locks that are held, by whom, and the owner files that outlived their lock."""
    found = []
    folders = [r.path for r in inventory.runs()] + [level.path for level in inventory.levels()]
    for folder in folders:
        said = holder(folder / LOCK)
        if kind(folder / LOCK) not in ("file", ""):
            found.append(Finding(folder / LOCK, "is no plain file", rm(folder / LOCK)))
        elif held(folder):
            found.append(Finding(folder, f"held by {said or 'a process that does not say who'}"))
        elif said:
            what = f"left by {said}, which is gone; whoever comes next replaces it"
            found.append(Finding(folder / OWNER, what))
    return found


def holder(lock: Path) -> str:
    """Return in words who holds a lock, with the command; "" where nobody says so."""
    found = read_owner(lock)
    if found is None and not kind(owner_file(lock)):
        return ""
    found = found or {}
    command = found.get("command")
    if not isinstance(command, list) or "pid" not in found:
        return "somebody who does not say who"
    return f"{owner(lock)}: {shlex.join(['lottery', *map(str, command)])}"


def interrupted(inventory: Inventory) -> list[Finding]:
    """Return the runs that are neither done nor at work, with the command to go on."""
    found = []
    for run in waiting(inventory):
        error = run.record.get("error") if run.state == "failed" else None
        what = f"{run.state}: {error}" if error else run.state
        found.append(Finding(run.path, what, again(run)))
    return found


def waiting(inventory: Inventory) -> list[Replicate]:
    """Return the runs that wait for their command to be typed again."""
    return [run for run in inventory.runs() if run.state in ("killed", "stopped", "failed")]


def wanted(shelf: Shelved, runs: list[Replicate]) -> tuple[str, str]:
    """Return in words which waiting run may go on with an unfinished level, and its command.

    Who trained it last is written down only where it was killed. The command is empty where it
    cannot be told, or where there is no such run.
    """
    said = read_owner(shelf.path / LOCK)
    for run in runs:
        if said and all(said.get(word) == run.record.get(word) for word in ("pid", "host")):
            return f"{near(run.path)} goes on with it", again(run)
    if runs:
        return "a run that was interrupted may go on with it", ""
    return "no interrupted run is there that would go on with it", ""


def damage(
    inventory: Inventory, identity: Callable[[Path], str], fast: bool = False
) -> Iterator[Finding]:
    """Yield what is not as it was written; `fast` leaves the checksums of files out.

    `identity` reads a config.yaml and returns the id of its run, or raises LotteryError.
    """
    commands: dict[str, str] = {}
    copied = 0
    for run in inventory.runs():
        path = run.path
        for place in run.links:
            key = key_of(run, place) if kind(path / place) == "folder" else ""
            if key and (why := unlike_level(path / place, inventory.store / key, fast)):
                yield Finding(path / place, f"in place of a link: {why}", rm(path / place))
            elif key:
                copied += 1
        yield from steady(path, lambda path=path: damaged_run(Replicate(path), identity, fast))  # type: ignore[misc]
        for key in filter(None, run.links.values()):
            commands.setdefault(key, run.command)
    yield from damaged_findings(inventory.outputs, fast)
    if copied:
        what = f"{copied} links to levels are folders, as zip, cp -L or rsync -L leave them"
        fix = "lottery doctor --repair" + outputs_word(inventory.outputs)
        yield Finding(inventory.outputs, what, fix)
    for shelf in inventory.levels():
        command = commands.get(shelf.key, "")
        yield from steady(
            shelf.path,
            lambda shelf=shelf, command=command: damaged_level(shelf, command, fast),  # type: ignore[misc]
        )


def damaged_findings(outputs: Path, fast: bool) -> Iterator[Finding]:
    """Yield what is wrong with what analyses found of several runs."""
    from lottery.results import across  # slow to load

    for place in (outputs / ANALYSES, *outputs.glob(f"*/{ANALYSES}")):
        for path in sorted(place.glob("*-*.json")):
            where = path
            try:
                found = across.read(path)
                for word in () if fast else found.words:
                    where = found.file(word)
                    found.table(word)
            except (LotteryError, OSError) as error:
                name = path.stem.rpartition("-")[0]
                what = f"{reason(error)}; lottery analyze RUN... analysis={name} makes it again"
                yield Finding(where, what, unless_unread(error, rm(path)))


def steady(folder: Path, examine: Callable[[], list[Finding]]) -> list[Finding]:
    """Return what `examine` finds; looks again where the folder's manifest changed meanwhile."""
    found: list[Finding] = []
    for _ in range(TRIES):
        before = mark(folder / MANIFEST)
        found = examine()
        if not found or mark(folder / MANIFEST) == before:
            break
    return found


def mark(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is replaced."""
    try:
        seen = os.lstat(path)
    except OSError:
        return ()
    return (seen.st_ino, seen.st_mtime_ns, seen.st_size)


def damaged_level(shelf: Shelved, command: str, fast: bool) -> list[Finding]:
    """Return what is wrong with a level; `command` is that of a run that has it, or empty."""
    if not shelf.complete:
        return [] if fast or held(shelf.path) else damaged_checkpoints(shelf, command)
    then = rm(shelf.path) + (f" && {command}" if command else "")
    try:
        names: dict[str, Any] = shelf.manifest()["files"]
    except (LotteryError, OSError) as error:
        return [Finding(shelf.path / MANIFEST, reason(error), unless_unread(error, then))]
    wrong = ((name, unlike(shelf.path / name, [sha], fast)) for name, sha in names.items())
    return [
        Finding(shelf.path / name, what, "" if what.startswith(UNREADABLE) else then)
        for name, what in wrong
        if what and not (what == "is missing" and left_out(shelf.path.parents[1], name))
    ]


def unless_unread(error: Exception, then: str) -> str:
    """Return what to type for damage; nothing where the disk did not let a file be read."""
    return "" if isinstance(error, DiskError | OSError) else then


def damaged_checkpoints(shelf: Shelved, command: str) -> list[Finding]:
    """Return the checkpoints of an unfinished level that are not what their names say."""
    found = []
    for name in shelf.checkpoints:
        told = name.removesuffix(".safetensors").rpartition("-")[2]
        if name.endswith(CORRUPT):
            continue
        if unlike(shelf.path / name, [told], False, len(told)) in ("", "is missing"):
            continue  # a run at work removes the older ones
        what = "its checksum is wrong; a run that goes on uses the one before"
        found.append(Finding(shelf.path / name, what, command))
    return found


def unlike(path: Path, known: list[Any], fast: bool, digits: int = 64) -> str:
    """Return in what a file is unlike what is known of it; "" where it is like it."""
    found = kind(path)
    if found != "file":
        return "is no plain file" if found else "is missing"
    try:
        return "" if fast or digest_of(path)[:digits] in known else "its checksum is wrong"
    except OSError as error:
        return f"{UNREADABLE} ({error.strerror or error})"


def damaged_run(run: Replicate, identity: Callable[[Path], str], fast: bool) -> list[Finding]:
    """Return what is wrong with a run: records, config, tables, levels and the links to these."""
    found = damaged_records(run, identity, fast)
    try:
        manifest = run.manifest()
    except (LotteryError, OSError):
        return found
    fix = "lottery doctor --repair" + outputs_word(run.path.parents[2])
    wrong = [(place, what) for place, what in wrong_links(run) if what != COPIED]
    found += [Finding(run.path / place, what, fix) for place, what in wrong]
    extra = run.links.keys() - manifest["levels"].keys() if run.state == "done" else set()
    what = "the run's manifest names no such level"
    return found + [Finding(run.path / place, what, rm(run.path / place)) for place in extra]


def damaged_records(run: Replicate, identity: Callable[[Path], str], fast: bool) -> list[Finding]:
    """Return what is wrong with a run but for its links: records, config, tables, levels."""
    found = damaged_config(run, identity)
    if run.record.get("state") in ("damaged", UNREAD):
        what = reason(LotteryError(str(run.record.get("error"))))
        found.append(Finding(run.path / RUN, what, again(run)))
    try:
        manifest = run.manifest()
    except (LotteryError, OSError) as error:
        return [*found, Finding(run.path / MANIFEST, reason(error), again(run))]
    if not kind(run.path / MANIFEST) and run.links:
        found.append(Finding(run.path / MANIFEST, "is missing", again(run)))
    if manifest["levels"] and not run.record:
        found.append(Finding(run.path / RUN, "is missing", again(run)))
    for name, known in manifest["files"].items():
        found += damaged_table(run, name, known, fast)
    store = run.path.parents[2] / "store"
    for place, entry in manifest["levels"].items():
        if not Shelved(store / entry["key"]).complete and kind(run.path / place) != "folder":
            what = f"its level {entry['key']} is not in the store: it has to be trained again"
            found.append(Finding(run.path / place, what, again(run)))
    return found


def key_of(run: Replicate, place: str) -> str:
    """Return the key of the level that a place of a run is to lead to; "" where none is known."""
    try:
        return str(run.manifest()["levels"].get(place, {}).get("key", ""))
    except (LotteryError, OSError):
        return ""


def damaged_config(run: Replicate, identity: Callable[[Path], str]) -> list[Finding]:
    """Return whether config.yaml cannot be read, or is not that of this run's id."""
    path, expected = run.path / "config.yaml", run.path.parent.name
    begun = bool(run.record)  # which is written after the config
    if not kind(path):
        return [Finding(path, "is missing", again(run))] if begun else []
    fix = rm(path) + (f" && {run.command}" if run.command else "")
    try:
        must_be_plain(path)
        found = identity(path)
    except (LotteryError, OSError) as error:
        return [Finding(path, reason(error), unless_unread(error, fix))]
    what = f"is the config of a run {found}: edited, or of another version of lottery"
    return [] if found == expected else [Finding(path, what, fix)]


def damaged_table(run: Replicate, name: str, known: Any, fast: bool) -> list[Finding]:
    """Return what is wrong with a file that a run's manifest vouches for."""
    plain = "/" not in name and "\0" not in name
    if not (plain or FINDINGS.fullmatch(name)) or not isinstance(known, list):
        return [Finding(run.path / MANIFEST, f"names a file {name!r}", again(run))]
    what = unlike(run.path / name, known, fast)
    if what == "is missing" and run.state != "done":  # the manifest goes first, and a kill may come
        return []
    return [Finding(run.path / name, what, again(run))] if what else []


def wrong_links(run: Replicate) -> list[tuple[str, str]]:
    """Return place and fault of every link of a run that is not as its manifest says."""
    found = []
    pack = bool(packed(run.path.parents[2]))  # which has no links
    for place, entry in run.manifest()["levels"].items():
        if not kind(run.path / place) and pack:
            continue
        if not kind(run.path / place):
            found.append((place, "the link is missing"))
        elif kind(run.path / place) == "folder":
            found.append((place, COPIED))  # all of them are one finding
        elif run.links.get(place) != entry["key"] or not leads_to_store(run, place):
            found.append((place, f"does not lead to the level {entry['key']}"))
    return found


def put_back(copy: Path, level: Path) -> str:
    """Make way for a link: remove the copy of a level, or make it the level where that is gone.

    Returns why it stays; "" where it went. It goes only as it was written, file by file.
    """
    if why := unlike_level(copy, level):
        return f"{why}; look at it, then type: {rm(copy)}"
    if Shelved(level).complete:
        shutil.rmtree(copy)
    else:
        level.parent.mkdir(exist_ok=True)
        os.rename(copy, level)
    return ""


def unlike_level(copy: Path, level: Path, fast: bool = False) -> str:
    """Return why a folder cannot make way for a link to a level; "" where it can.

    `fast` compares no checksums.
    """
    whole = Shelved(copy)
    try:
        must_be_plain(copy / MANIFEST)
        said = read_signed(copy / MANIFEST)
        names = said.get("files")
        if said.get("key") != level.name or not isinstance(names, dict):
            return f"it is a folder, and none of the level {level.name}"
        wrong = [n for n, sha in names.items() if unlike(copy / n, [sha], fast)]
    except (LotteryError, OSError) as error:
        return f"it is a folder that is no copy of a level ({reason(error)})"
    if wrong or set(whole.files) - {*names, MANIFEST, LOCK}:
        return f"its files are not those of the level {level.name}"
    if kind(level) and not Shelved(level).complete:
        return f"the level {level.name} is in the store, unfinished"
    return ""


def leads_to_store(run: Replicate, place: str) -> bool:
    """Say whether a link leads into the store, whatever its last word is."""
    if kind(run.path / place) != "link":
        return True
    link = run.path / place
    target = os.path.normpath(link.parent / os.readlink(link))
    return os.path.dirname(target) == os.path.normpath(run.path.parents[2] / "store")


def relink(inventory: Inventory) -> Iterator[tuple[Path, str]]:
    """Make the links of all runs as their manifests say; yield what was done or left, and where.

    A run at work makes its own.
    """
    from lottery.storage import links, locks

    for run in inventory.runs():
        try:
            if not wrong_links(run):
                continue
            with locks.lock(run.path / LOCK, run=True):
                levels = run.manifest()["levels"]
                for place, what in wrong_links(Replicate(run.path)):
                    target = inventory.store / levels[place]["key"]
                    if what == COPIED and (unlike_copy := put_back(run.path / place, target)):
                        yield run.path / place, f"left as it is: {unlike_copy}"
                        continue
                    links.link(run.path / place, target)
                    yield run.path / place, f"{what}: linked anew"
        except (LotteryError, OSError) as error:
            yield run.path, f"left as it is: {error}"

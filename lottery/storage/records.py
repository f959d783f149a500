"""Read what runs and levels say of themselves, and whether they are at work. Imports no torch.

A record is a JSON object with the sha256 of everything else that stands in it.
"""

import json
import os
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lottery.errors import DamagedError, DiskError, LotteryError
from lottery.storage.files import RECORD, TABLE, digest, read_plain
from lottery.wording.commands import from_here, ours
from lottery.wording.text import printable, rm

CORRUPT = ".corrupt"  # the end of what was set aside
CHECKPOINT = "checkpoint-"
MANIFEST = "manifest.json"
RUN = "run.json"
CONFIG = "config.yaml"
UNREAD = "unreadable"  # the state of a run while the disk does not answer
OWNER = ".owner"
LONGEST_OWNER = 64 * 1024  # bytes; it holds the command as it was typed
KEY = re.compile(r"[0-9a-f]{32}")
SCORING = "scoring_"
PLACE = re.compile(r"level_(\d{2,})(?:_(\w+))?")
ANALYSES = "analyses"  # the folder of what analyses found, and of what they trained for that
ANALYSED = re.compile(rf"{ANALYSES}/\w+")
FINDINGS = re.compile(rf"{ANALYSES}/([A-Za-z]\w*)-[0-9a-f]{{16}}\.csv")


def place(level: int, branch: str = "") -> str:
    """Return what a level, or a branch of it, is called in a run's folder and manifest."""
    return f"level_{level:02d}" + (f"_{branch}" if branch else "")


def analysed(level: int, analysis: str, word: str) -> str:
    """Return what a training of an analysis is called in a run's manifest."""
    return f"{ANALYSES}/{place(level, analysis)}_{word}"


def scoring(level: int, kind: str = "") -> str:
    """Return where in a run's folder the making of a level's mask, of a kind, is remembered."""
    return SCORING + place(level, kind)


def position(place: str) -> tuple[int, str] | None:
    """Undo `place`: the level and its branch, "" for none; None for what is called otherwise."""
    match = PLACE.fullmatch(place)
    return (int(match[1]), match[2] or "") if match else None


def signed(body: dict[str, Any]) -> dict[str, Any]:
    """Return a record: the body as JSON gives it back, with its sha256."""
    plain: dict[str, Any] = json.loads(json.dumps(body))
    return plain | {"sha256": checksum(plain)}


def checksum(body: dict[str, Any]) -> str:
    """Return the sha256 of a record's body."""
    return digest(json.dumps(body, sort_keys=True).encode())


def read_signed(path: Path) -> dict[str, Any]:
    """Return the body of a record.

    Raises FileNotFoundError where there is none, DamagedError unless it is as it was written.
    """
    try:
        value = json.loads(read_plain(path, RECORD))
        if not isinstance(value, dict) or value.pop("sha256", None) != checksum(value):
            raise ValueError("its checksum is wrong")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unread(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged ({error})") from error
    return value


def unread(path: Path, error: OSError) -> LotteryError:
    """Return the line for a record that cannot be read: what, why, and what to type."""
    from lottery.storage.disk import refused  # which writes records

    return refused(path, "read", error)


KINDS = {  # what run.json says, where it says so
    "state": str,
    "command": str,
    "choices": dict,
    "started": str,
    "seconds": (int, float),
    "levels_asked": int,
    "levels_most": int,
    "resumed": list,
    "followed_by": list,
    "drift": list,
    "warnings": list,
    "environment": dict,
    "spread": dict,
    "code": dict,
    "format": int,
    "log": (str, type(None)),
}


def read_run(folder: Path) -> dict[str, Any]:
    """Return run.json; raises FileNotFoundError, and DamagedError unless it is one of a run."""
    path = folder / RUN
    found = read_signed(path)
    refuse_other(path, found)
    for key, kind in KINDS.items():
        if key in found and not isinstance(found[key], kind):  # type: ignore[arg-type]
            raise DamagedError(f"{path} is damaged (its {key} is {found[key]!r})")
    if "command" in found and not ours(found["command"]):
        del found["command"]  # nobody is to paste it
    if "followed_by" in found:
        found["followed_by"] = [c for c in found["followed_by"] if isinstance(c, str) and ours(c)]
    return found


def read_record(folder: Path) -> dict[str, Any]:
    """Return run.json of a run for people to read; {} where there is none.

    Where it is damaged, or cannot be read now, only a state that says so.
    """
    try:
        return read_run(folder)
    except FileNotFoundError:
        return {}
    except DamagedError as error:
        return {"state": "damaged", "error": str(error)}
    except DiskError as error:
        return {"state": UNREAD, "error": str(error)}


def whose(folder: Path) -> str:
    """Return run id and replicate, which records of a run bear: none serves another run."""
    return f"{folder.parent.name}/{folder.name}"


def refuse_other(path: Path, found: dict[str, Any]) -> None:
    """Raise DamagedError for a record of another run than the one whose folder it lies in."""
    if found.get("run") != whose(path.parent.absolute()):
        raise DamagedError(
            f"{path} is damaged (it is that of the run {found.get('run')!r}: moved or copied here)"
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a run's manifest: its levels and the checksums of its tables.

    Raises DamagedError unless it is as it was written and names levels of the store only.
    """
    path = folder / MANIFEST
    try:
        found = read_signed(path)
    except FileNotFoundError:
        return {"levels": {}, "files": {}}
    refuse_other(path, found)
    levels, files = found.get("levels"), found.get("files")
    if not isinstance(levels, dict) or not isinstance(files, dict):
        raise DamagedError(f"{path} is damaged (it is no manifest of a run)")
    for place, entry in levels.items():
        key = entry.get("key") if isinstance(entry, dict) else None
        known = PLACE.fullmatch(place) or ANALYSED.fullmatch(place)
        if not known or not isinstance(key, str) or not KEY.fullmatch(key):
            raise DamagedError(f"{path} is damaged ({place!r} is no level of the store)")
    for name, sums in files.items():
        if not isinstance(sums, list) or not all(isinstance(each, str) for each in sums):
            raise DamagedError(f"{path} is damaged (the checksums of {name!r} are none)")
    return found


def levels(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what a run's manifest says of its levels: level_02 or level_02_shuffle -> entry.

    An entry has the level's key in the store; a branch also `of`, the key of the level that it
    follows, and its `settings` in words.
    """
    return dict(read_manifest(folder)["levels"])


def checked(folder: Path, name: str) -> bytes | None:
    """Return a file that the run's manifest vouches for; None where there is none.

    A table stands as it was written last or the time before, since the manifest goes first: so it
    is read before the manifest, and again where it has changed since.
    Raises DamagedError, with what to type.
    """
    path, before = folder / name, None
    while True:
        data = read_if_there(path)
        known = read_manifest(folder)["files"].get(name, [])
        if data is None or digest(data) in known:
            return data
        if data == before:
            why = "its checksum is wrong" if known else "the run's manifest does not name it"
            raise DamagedError(f"{path} is damaged ({why}); {mended_by(folder, name)}")
        before = data


def read_if_there(path: Path) -> bytes | None:
    """Return a file of a run; None where there is none."""
    try:
        return read_plain(path, TABLE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unread(path, error) from error
    except ValueError as error:
        hint = mended_by(path.parent, path.name)
        raise DamagedError(f"{path} is damaged ({error}); {hint}") from error


def mended_by(folder: Path, name: str) -> str:
    """Return what to type to have a file of a run written again."""
    if name != CONFIG:
        return resume_hint(folder)
    return f"to have it written anew: {rm(folder / name)}, then {again(folder)}"


def resume_hint(folder: Path) -> str:
    """Return what to type to have a run's tables written again."""
    return f"{again(folder)}: it writes its tables anew and trains nothing twice"


def again(folder: Path) -> str:
    """Return, after "type", the command of a run as it can be typed here."""
    command = read_record(folder).get("command")
    there = from_here(command, folder.absolute().parents[2]) if command else ""
    return f"type {there}" if there else "type the run's command again"


def locked(path: Path) -> bool:
    """Say whether a process holds the lock; leaves it as it is.

    A shared lock for an instant tells, which no other reader minds and for which nobody waits.
    """
    if not os.path.exists(path):
        return False
    if (found := held(path)) is not None:
        return found
    guard = FileLock(path)  # a disk, or a system, on which that cannot be asked
    try:
        guard.acquire(timeout=0.05, poll_interval=0.01)  # another reader holds it for an instant
    except Timeout:
        return True
    except OSError:  # not ours to write
        return False
    guard.release()
    return False


def held(path: Path) -> bool | None:
    """Say whether a process holds a lock, by reading alone; None where that cannot be told."""
    try:
        import fcntl

        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(path, flags)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)
    return False


def owner_file(lock: Path) -> Path:
    """Return where the holder of a lock says who it is."""
    return lock.with_name(lock.name.removesuffix("lock") + OWNER.removeprefix("."))


def read_owner(lock: Path) -> dict[str, Any] | None:
    """Return what the holder of a lock says of itself; None where nobody does, {} for nonsense."""
    try:
        found = json.loads(read_plain(owner_file(lock), LONGEST_OWNER))
        return found if isinstance(found, dict) else {}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return {}


def owner(lock: Path) -> str:
    """Return process and host of the holder of a lock, and since when, in words."""
    found = read_owner(lock) or {}
    if not {"pid", "host", "since"} <= found.keys():
        return "another process"
    return printable(f"process {found['pid']} on {found['host']} since {found['since']}")


def busy(folder: Path) -> str:
    """Return the line for a run that another process is writing."""
    return f"{folder} is being written by {owner(folder / '.lock')}; wait for it, or stop it first"


def now() -> str:
    """Return the time to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def hostname() -> str:
    """Return this machine's name."""
    return socket.gethostname()

"""Write, remove and sweep files, so that each stands whole or not at all. Imports no torch."""

import contextlib
import errno
import json
import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lottery.errors import BlockedError, DiskError, LotteryError, UsageError
from lottery.storage.claims import CLAIM, claimed
from lottery.storage.files import TEMPORARY, digest
from lottery.wording.text import in_words, near, printable

FULL = (errno.ENOSPC,)
LIMITS = (errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
BLOCKED = (errno.ENOENT, errno.EEXIST, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EMLINK)
ABSENT = (  # there is no such file: what was typed is wrong, and no disk
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG,
)  # fmt: skip
LONGEST_NAME = 255  # bytes, on the file systems in use
SHOWN = 40  # characters of a name that is too long
TRIES = 3  # at a file that another process sweeps away while it is written


@contextlib.contextmanager
def touching(
    path: Path, verb: str = "write", size: int = 0, elsewhere: str = "outputs=DIR"
) -> Iterator[None]:
    """Turn an error of the file system into a LotteryError; see `refused`."""
    try:
        yield
    except OSError as error:
        raise refused(path, verb, error, size, elsewhere) from error


def refused(
    path: Path, verb: str, error: OSError, size: int = 0, elsewhere: str = "outputs=DIR"
) -> LotteryError:
    """Return the line for an error of the file system: what, why, and what to type.

    `size` bytes were to be written, 0 where that is not known; `elsewhere` is the word that names
    another place. A UsageError for a name that no disk takes, else a DiskError.
    """
    if error.errno == errno.ENAMETOOLONG:
        long = max(path.parts, key=len, default="")
        name = long if len(long) <= SHOWN else f"{long[:SHOWN]}..."
        return UsageError(
            f"cannot {verb} '{name}': it is longer than a name may be ({LONGEST_NAME} bytes; a "
            "path 4,096); type a shorter one"
        )
    if error.errno in BLOCKED and (told := in_the_way(path)):
        return BlockedError(f"cannot {verb} {path}: {told}, then the same command")
    hint = "; type the same command again once the disk answers"
    if error.errno in FULL:
        hint = f"{room(path, size)}; free some space and type the same command again"
    elif error.errno in LIMITS:
        limit = "raise the limit (ulimit -f, quota) and type the same command again"
        hint = f"{room(path, size)}; {limit}"
    elif error.errno in FORBIDDEN and verb == "write":
        hint = f"; write {elsewhere} where you may write"
    elif error.errno in FORBIDDEN:
        hint = "; ask its owner to let you, or name another one"
    return DiskError(f"cannot {verb} {path}: {error.strerror}{hint}")


def in_the_way(path: Path) -> str:
    """Return what stands on the way to a path, and what to type; "" for nothing.

    That is a link that leads nowhere or in a circle, which no waiting cures, or a file where a
    folder has to be.
    """
    for place in (*reversed(path.parents), path):
        if os.path.islink(place) and not os.path.exists(place):
            where = printable(os.readlink(place))
            word = shlex.quote(near(place))
            gone = f"{place} is a link to {where}, which is not there"
            return f"{gone}; bring that back, or type: rm {word}"
        if place != path and os.path.isfile(place):
            word = shlex.quote(near(place))
            return f"{place} is a file, where a folder has to be; type: mv {word} {word}.old"
    return ""


def room(path: Path, size: int) -> str:
    """Return, in brackets, what was needed and what is free; "" where the disk does not say."""
    needed = f"{in_words(size)} needed, " if size else ""
    try:
        return f" ({needed}{in_words(free(path))} free)"
    except OSError:
        return ""


def free(path: Path) -> int:
    """Return the bytes that are free where `path` is, or will be."""
    there = next((p for p in (path, *path.parents) if os.path.exists(p)), Path("/"))
    return shutil.disk_usage(there).free


def beside(path: Path, number: int | None = None) -> Path:
    """Return where a file or a folder is made before it gets its name, of at most 255 bytes.

    `number` tells apart who makes the same; else the process does.
    """
    number = os.getpid() if number is None else number
    head, name = f"{TEMPORARY}{number}-", os.fsencode(path.name)
    if len(head) + len(name) > LONGEST_NAME >= len(name):
        name = digest(name).encode()
    return path.with_name(head + os.fsdecode(name))


def write(path: Path, data: bytes, sync: bool = True) -> None:
    """Write a file so that it stands under its name whole or not at all.

    With `sync` it is on the disk when this returns, and outlasts a power cut.
    """
    temporary = beside(path)
    with touching(path, size=len(data)):
        try:
            rename(lambda: save_as(temporary, data, sync), temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):  # what is left is swept at the next start
                os.unlink(temporary)
            raise
        if sync:
            sync_folder(path.parent)


def rename(make: Callable[[], None], temporary: Path, path: Path) -> None:
    """Make a temporary file, and rename it; once more where another process has swept it since."""
    for tries_left in reversed(range(TRIES)):
        make()
        try:
            os.replace(temporary, path)
            return
        except FileNotFoundError:  # a run that began here has swept it: `sweep`
            if not tries_left:
                raise


def save_as(path: Path, data: bytes, sync: bool) -> None:
    """Write the bytes to a file; with `sync` wait until the disk has them."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make a change of names in `folder` outlast a power cut, where the platform can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file; one that is gone already is fine."""
    with touching(path, "remove"), contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it, where there is one."""
    with touching(path, "remove"), contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write(path, (json.dumps(value, indent=1) + "\n").encode())


def write_if_new(path: Path, data: bytes) -> None:
    """Write a file unless it already holds just that."""
    with touching(path, "read"):
        same = path.is_file() and path.read_bytes() == data  # a pipe there is replaced
    if not same:
        write(path, data)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, so that they outlast a power cut."""
    with touching(path):
        missing = [folder for folder in (path, *path.parents) if not folder.is_dir()] or [path]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-made in a folder.

    A folder that a living process works in stays. A file or a link that one is writing goes, and
    is made again by `rename`.
    """
    for path in folder.glob(f"{TEMPORARY}*"):
        remove_left(path)


def remove_left(path: Path) -> None:
    """Remove what was left half-made, a file or a folder, unless a process works in it."""
    if path.is_symlink() or not path.is_dir():
        remove(path)
        return
    with touching(path, "remove"):
        with claimed(path) as free_to_go:
            if free_to_go:
                empty(path)
        if free_to_go:  # not before: NFS keeps a file that is open
            remove_empty(path)


def empty(folder: Path) -> None:
    """Remove all that is in a folder, the claim last: then another process may have it."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        for entry in sorted(found, key=lambda entry: entry.name == CLAIM):
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)


def remove_empty(folder: Path) -> None:
    """Remove an empty folder; one that is gone, or in which a process works by now, is fine."""
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise


@contextlib.contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """Make a folder beside `target` to make it in; whatever is left there goes at the end.

    No other process takes it for what a killed one has left.
    """
    make_folder(target.parent)
    with contextlib.ExitStack() as claims:
        with touching(target):
            place = settle(target, claims)
        try:
            yield place
        finally:
            with contextlib.suppress(OSError):  # what is left is swept at the next start
                empty(place)
                claims.close()
                remove_empty(place)


def settle(target: Path, claims: contextlib.ExitStack) -> Path:
    """Make a new folder beside `target` and take the claim on it; return its path."""
    place = beside(target)
    while True:
        with contextlib.suppress(FileExistsError):
            os.mkdir(place)
            if claims.enter_context(claimed(place)) and place.is_dir():
                return place  # else another process has taken it for a left-over just now
        # on another machine, or in another container, a process may have the same number
        place = beside(target, secrets.randbits(64))


def publish(made: Path, target: Path, elsewhere: str = "to=PATH") -> None:
    """Put a finished file or folder under its name, for good: synced, and nothing is replaced.

    Raises FileExistsError where anything stands there, also since an instant.
    """
    try:
        for path in (made, *made.rglob("*")) if made.is_dir() else (made,):
            sync_folder(path)  # or a file: the disk is asked in the same way
        if made.is_dir():
            move_folder(made, target)
        else:
            give_name(made, target)
        sync_folder(target.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise refused(target, "write", error, elsewhere=elsewhere) from error


def move_folder(made: Path, target: Path) -> None:
    """Rename a folder, onto nothing; raises FileExistsError."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    try:
        os.rename(made, target)  # onto an empty folder, which may have come since: nothing is lost
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        raise


def give_name(made: Path, target: Path) -> None:
    """Let a file stand under `target`, where nothing stands; raises FileExistsError.

    On a disk without links others that do so wait, by a lock on the folder that dies with its
    process: nothing is left there that would keep the name from the next.
    """
    try:
        os.link(made, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with locked_folder(target.parent):
            if os.path.lexists(target):
                raise FileExistsError(
                    errno.EEXIST, os.strerror(errno.EEXIST), str(target)
                ) from error
            os.replace(made, target)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder itself, where the platform has such."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a disk without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

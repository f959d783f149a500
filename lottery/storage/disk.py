"""Write, remove and sweep files, so that each stands whole or not at all. Imports no torch."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lottery.errors import DiskError
from lottery.storage.records import TEMPORARY
from lottery.wording import in_words

FULL = (errno.ENOSPC,)
LIMITS = (errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def touching(path: Path, verb: str = "write", size: int = 0) -> Iterator[None]:
    """Turn an error of the file system into a DiskError; `size` bytes are to be written."""
    try:
        yield
    except OSError as error:
        raise refused(path, verb, error, size) from error


def refused(path: Path, verb: str, error: OSError, size: int = 0) -> DiskError:
    """Return the line for an error of the file system: what, why, and what to type."""
    hint = "; type the same command again once the disk answers"
    room = f" ({in_words(size)} needed, {in_words(free(path))} free)"
    if error.errno in FULL:
        hint = f"{room}; free some space and type the same command again"
    elif error.errno in LIMITS:
        hint = f"{room}; raise the limit (ulimit -f, quota) and type the same command again"
    elif error.errno in FORBIDDEN:
        hint = "; write outputs=DIR where you may write"
    return DiskError(f"cannot {verb} {path}: {error.strerror}{hint}")


def free(path: Path) -> int:
    """Return the bytes that are free where `path` is, or will be."""
    there = next((p for p in (path, *path.parents) if p.exists()), Path("/"))
    return shutil.disk_usage(there).free


def write(path: Path, data: bytes, sync: bool = True) -> None:
    """Write a file so that it stands under its name whole or not at all.

    With `sync` it is on the disk when this returns, and outlasts a power cut.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    with touching(path, size=len(data)):
        try:
            save_as(temporary, data, sync)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):  # what is left is swept at the next start
                os.unlink(temporary)
            raise
        if sync:
            sync_folder(path.parent)


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
    """Remove the temporary files that a killed process left in a folder."""
    for path in folder.glob(f"{TEMPORARY}*"):
        remove(path)

"""Claim a folder while a process works in it, so that no other takes it for a left-over."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lottery.storage.files import TEMPORARY

CLAIM = f"{TEMPORARY}claim"  # a file in the folder; NFS locks no folders, and files open to write


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Take the claim on a folder, for as long as this lasts; False where another has it.

    A claim is an OS lock on a file in the folder, which dies with its process.
    """
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        handle = os.open(folder / CLAIM, flags, 0o666)
    except (OSError, AttributeError):  # no such folder any more, a full disk; Windows
        yield True
        return
    try:
        yield take(handle) and stands(handle, folder)
    finally:
        os.close(handle)


def take(handle: int) -> bool:
    """Lock an open file; False where another process holds it. Without locks nobody does."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def stands(handle: int, folder: Path) -> bool:
    """Say whether an open file still is the claim on a folder, and has not been removed since."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(folder / CLAIM))
    except FileNotFoundError:
        return False

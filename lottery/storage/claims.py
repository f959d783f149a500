"""Claim a folder while a process works in it, so that no other takes it for a left-over."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Take the claim on a folder, for as long as this lasts; False where a process holds it.

    A claim is an OS lock on the folder itself, which dies with its process. A file needs none.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (OSError, AttributeError):  # a link, a file, nothing; Windows opens no folder
        yield True
        return
    try:
        yield take(handle)
    finally:
        os.close(handle)


def take(handle: int) -> bool:
    """Lock an open folder; False where another process holds it. Without locks nobody does."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True

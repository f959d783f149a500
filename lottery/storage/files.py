"""Read files that may have come from anywhere: plain ones, up to a size."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

RECORD = 8 * 2**20  # bytes; a manifest of a thousand layers has a half of one MiB
TABLE = 256 * 2**20
CONFIG = 2**20
TEMPORARY = ".tmp-"  # and a process: what is being written


@contextlib.contextmanager
def open_plain(path: Path, most: int | None = None) -> Iterator[BinaryIO]:
    """Open a file to be read; raises ValueError for a pipe or a device, or one that is longer.

    A pipe that nobody writes to is opened without waiting. FileNotFoundError and any other OSError
    pass as they are.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is no plain file")
        if most is not None and about.st_size > most:
            raise ValueError(f"it has {about.st_size:,} bytes, more than it can need")
        yield file


def read_plain(path: Path, most: int | None = None) -> bytes:
    """Return the bytes of a file; raises as `open_plain` does."""
    with open_plain(path, most) as file:
        return file.read()


def digest(data: bytes) -> str:
    """Return the sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()

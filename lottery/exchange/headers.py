"""Judge a safetensors file from anywhere by its header, before its tensors are read."""

import json
import os
from pathlib import Path
from typing import Any

from lottery.storage.files import open_plain
from lottery.storage.store import LONGEST_HEADER

LENGTH = 8  # bytes in front that say how long the header is


def header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file, whose tensors fill the rest of it just so.

    Raises ValueError for any other file, OSError as it is.
    """
    start, size = beginning(path)
    found = json.loads(start)
    if not isinstance(found, dict):
        raise ValueError("its header is no list of tensors")
    ends = [span(each)[1] for name, each in found.items() if name != "__metadata__"]
    if max(ends, default=0) != size - LENGTH - len(start):
        raise ValueError("its tensors are not as long as its header says")
    return found


def beginning(path: Path) -> tuple[bytes, int]:
    """Return the header as it is written, and the bytes of the whole file."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size < LENGTH:
            raise ValueError("it has no header")
        length = int.from_bytes(file.read(LENGTH), "little")
        if length > min(size - LENGTH, LONGEST_HEADER):
            raise ValueError("its header is too long")
        return file.read(length), size


def span(entry: Any) -> tuple[int, int]:
    """Return where a tensor begins and ends; raises ValueError for no such entry."""
    found = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(found, list) or len(found) != 2 or not all(type(n) is int for n in found):
        raise ValueError("its header says of a tensor not where it is")
    return found[0], found[1]


def said(found: dict[str, Any]) -> Any:
    """Return what a file of ours says of itself; None for one of another tool.

    Raises ValueError for what cannot be read.
    """
    about = found.get("__metadata__")
    text = about.get("lottery") if isinstance(about, dict) else None
    return json.loads(text) if isinstance(text, str) else None

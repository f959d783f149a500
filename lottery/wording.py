"""Say sizes, paths and commands to people: on one line, short, and safe to print and to type."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path


def in_words(number: float) -> str:
    """Return a number of bytes for people: 12.3 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"


def printable(text: object) -> str:
    """Return text on one line, with what a terminal might obey spelled out.

    A file name may hold line ends, escape sequences, or bytes that are no text.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def near(path: Path | str) -> str:
    """Return a path as short as it can be typed here."""
    absolute = os.path.abspath(path)
    inside = absolute.startswith(os.getcwd().rstrip(os.sep) + os.sep)
    return os.path.relpath(absolute) if inside else str(path)


def expanded(path: Path | str) -> Path:
    """Return where data may lie, ~ filled in; no place at all for a user who has no home folder.

    A container may give neither HOME nor a line in passwd, and needs none for the data it brings.
    """
    found = os.path.expanduser(path)
    return Path(f"/{found}" if found.startswith("~") else found)


def public(command: str) -> str:
    """Return a typed command as it may travel: without its loggers, and no URI with its password.

    Where a run is written besides its folder changes no number, and may name a private server.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    kept = (
        word for word in words if not word.lstrip("+~").startswith(("loggers.", "log=", "log@"))
    )
    return shlex.join(map(without_password, kept))


def without_password(text: str) -> str:
    """Return text in which no URI has its user and password."""
    return re.sub(r"(?<=://)[^/\s]*@", "***@", text)


def rm(path: Path) -> str:
    """Return what to type to be rid of a file or a folder."""
    return f"rm -r {shlex.quote(near(path))}"


def outputs_word(outputs: Path) -> str:
    """Return the word, after a space, that names these outputs to a command; none for the usual."""
    if os.path.abspath(outputs) == os.path.abspath("outputs"):
        return ""
    return f" outputs={shlex.quote(str(outputs))}"


def unmasked(sizes: Mapping[str, int]) -> str:
    """Say which tensors of two or more axes no mask reaches: dense at every level, not counted."""
    names = list(sizes)
    listed = names if len(names) <= 6 else [*names[:4], f"... {len(names) - 5} more", names[-1]]
    return (
        f"not pruned, and no part of the density: {printable(', '.join(listed))} "
        f"({sum(sizes.values()):,} weights)"
    )

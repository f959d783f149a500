"""Read the config of a run as data, and only as its manifest vouches for it. Imports no torch."""

import shlex
from pathlib import Path
from typing import Any

import yaml

from lottery.errors import DamagedError
from lottery.storage.disk import touching
from lottery.storage.files import CONFIG as LARGEST
from lottery.storage.files import read_plain
from lottery.storage.records import CONFIG, checked, mended_by
from lottery.storage.yamls import parse, refuse_tricks
from lottery.wording.text import first_line

NEEDED = {"model", "dataset", "train"}  # what every config has
UNREADABLE = (ValueError, TypeError, RecursionError, yaml.YAMLError)


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the config.yaml of a run.

    Raises DamagedError, with what to type, unless it is as it was written.
    """
    data = checked(folder, CONFIG)
    try:
        if data is None:
            raise ValueError("it is missing")
        return parsed(data)
    except UNREADABLE as error:
        hint = mended_by(folder, CONFIG)
        raise DamagedError(f"{folder / CONFIG} is damaged ({first_line(error)}); {hint}") from error


def read_config(path: Path) -> dict[str, Any]:
    """Return a config.yaml for which no manifest vouches; raises DamagedError, DiskError."""
    try:
        with touching(path, "read"):
            data = read_plain(path, LARGEST)
        return parsed(data)
    except UNREADABLE as error:
        raise DamagedError(
            f"{path} cannot be read ({first_line(error)}); to have it written anew: "
            f"rm {shlex.quote(str(path))}, then type the command of this run again"
        ) from error


def parsed(data: bytes) -> dict[str, Any]:
    """Return what a config.yaml says: plain data; raises what UNREADABLE lists for no config."""
    written = data.decode()
    if "${" in written:
        raise ValueError("it refers to something outside of it, with ${")
    refuse_tricks(written)
    found = parse(written)
    if not isinstance(found, dict) or not found.keys() >= NEEDED:
        raise ValueError("it is no config of a run")
    return found

"""Read the config of a run as data, and only as its manifest vouches for it. Imports no torch."""

from pathlib import Path
from typing import Any

import yaml

from lottery.errors import DamagedError
from lottery.storage.records import CONFIG, checked, mended_by
from lottery.storage.yamls import parse, refuse_tricks

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
        why = (str(error).splitlines() or [type(error).__name__])[0]
        hint = mended_by(folder, CONFIG)
        raise DamagedError(f"{folder / CONFIG} is damaged ({why}); {hint}") from error


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

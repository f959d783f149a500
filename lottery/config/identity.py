"""Say which run a config is: its id, its folder, and what sets it apart from another."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lottery.errors import UsageError

# What does not change the numbers of a level is no part of a run's identity.
NOT_IDENTITY = (
    "host",
    "name",
    "replicate",
    "levels",
    "checkpoint_every",
    "outputs",
    "data",
    "branches",
    "loggers",
    "branch_levels",
    "sanity",
    "strict",
)
NOT_OF_DATA = ("workers", "max_pixels")  # of the dataset: what changes no batch


def normalised(value: Any) -> Any:
    """Return the value with numbers in one spelling: 1.0 is 1."""
    if isinstance(value, dict):
        return {str(key): normalised(v) for key, v in value.items()}
    if isinstance(value, list):
        return [normalised(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def identity(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a config that decides the numbers."""
    kept = {k: v for k, v in settings.items() if k not in NOT_IDENTITY}
    kept["dataset"] = {k: v for k, v in settings["dataset"].items() if k not in NOT_OF_DATA}
    return normalised(kept)  # type: ignore[no-any-return]


def run_id(settings: dict[str, Any]) -> str:
    """Return ten hexadecimal digits that stand for the identity of a config."""
    words = json.dumps(identity(settings), sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()[:10]


def run_folder(settings: dict[str, Any], name: str) -> Path:
    """Return the absolute path of a run's replicate; `name` is for settings that give none.

    Raises UsageError for a name that is none of a folder.
    """
    name = settings["name"] or name
    if name in ("store", ".", "..") or not name.strip() or {"/", "\\", "\0"} & set(name):
        raise UsageError(
            f"name: '{name}' is no name for a folder under outputs/; type one without slashes, "
            "other than store"
        )
    outputs = Path(settings["outputs"]).expanduser().absolute()
    return outputs / name / run_id(settings) / f"replicate_{settings['replicate']}"


def flat(settings: dict[str, Any], at: str = "") -> dict[str, Any]:
    """Return settings with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{at}{key}.")
        else:
            found[f"{at}{key}"] = value
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return in words which settings differ: train.batch_size is 96 there, 128 asked."""
    there, asked = flat(before), flat(after)
    keys = [key for key in {**there, **asked} if there.get(key) != asked.get(key)]
    return [
        f"{k} is {there.get(k, 'not set')} there, {asked.get(k, 'not set')} asked" for k in keys
    ]

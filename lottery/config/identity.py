"""Say which run a config is: its id, its folder, and what sets it apart from another."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lottery.errors import UsageError

# What does not change the numbers of a level is no part of a run's identity.
NOT_IDENTITY = (
    "host",
    "name",
    "replicate",
    "levels",
    "levels_until",
    "checkpoint_every",
    "outputs",
    "data",
    "branches",
    "analyses",
    "loggers",
    "branch_levels",
    "analysis_levels",
    "sanity",
    "strict",
)
# What all jobs of a sweep share.
OF_SWEEP = ("host.workers", "host.gpus_per_job", "host.threads_per_job", "host.retries")
NOT_OF_DATA = ("workers", "max_pixels")  # of the dataset: what changes no batch
# What settings that came later say where nothing is asked of them. A run or a level is then known
# without them, as it was before there were any.
ADDED: dict[str, Any] = {
    "train.optimizer.groups": {},
    "start": {"name": "init"},
    "dataset.classes": {},
}

ORDERED = ("train.optimizer.groups", "prune.allocation.rates")  # patterns, whose order counts


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
    kept |= {part: of_content(kept[part]) for part in ("start", "model") if part in kept}
    return normalised(as_before(kept))  # type: ignore[no-any-return]


def of_content(node: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a part without the path of a file whose content they say."""
    return {k: v for k, v in node.items() if k != "path" or not node.get("sha256")}


def as_before(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings without those of `ADDED` that ask for nothing."""
    for path, value in ADDED.items():
        settings = without(settings, path, value)
    return settings


def without(node: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return settings without the one at a dotted path, where it has this value."""
    key, _, rest = path.partition(".")
    if rest and isinstance(node.get(key), dict):
        return {**node, key: without(node[key], rest, value)}
    return {k: v for k, v in node.items() if rest or k != key or (v or {}) != value}


def recipe_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a config that decides how a level is trained."""
    whole = {"train": {**settings["train"], "evaluate_every": settings["evaluate_every"]}}
    return in_order(normalised(as_before(whole)))["train"]  # type: ignore[no-any-return]


def in_order(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with mappings of patterns as pairs: of several that fit the first one counts.

    JSON with sorted keys would not tell their order. Of one pattern there is none to tell.
    """
    for path in ORDERED:
        settings = paired(settings, path)
    return settings


def paired(node: dict[str, Any], path: str) -> dict[str, Any]:
    """Return settings with the mapping at a dotted path as pairs."""
    key, _, rest = path.partition(".")
    found = node.get(key)
    if not isinstance(found, dict) or (not rest and len(found) < 2):
        return node
    return {**node, key: paired(found, rest) if rest else list(found.items())}


def run_id(settings: dict[str, Any]) -> str:
    """Return ten hexadecimal digits that stand for the identity of a config."""
    words = json.dumps(in_order(identity(settings)), sort_keys=True)
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


def flat(settings: dict[str, Any], at: str = "", whole: Collection[str] = ()) -> dict[str, Any]:
    """Return settings with dotted keys; those of `whole` stay as they are, mappings too."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value and f"{at}{key}" not in whole:
            found |= flat(value, f"{at}{key}.", whole)
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

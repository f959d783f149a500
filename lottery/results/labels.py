"""Say in a few words what tells experiments apart. Imports neither torch nor pandas."""

from collections.abc import Mapping
from pathlib import Path

from lottery.results.facts import Facts, spokesman
from lottery.results.folders import configs
from lottery.results.order import deciding, differing
from lottery.wording.text import printable

MOST = 2  # settings in a label; where more differ, the id says it


def labels(folders: tuple[Path, ...]) -> dict[tuple[str, str], str]:
    """Return a short label for each experiment, (name, id) -> what tells it from the others.

    That is its method, with model and dataset where there are several; where that does not tell
    them apart its rewind, then its name, the one or two settings that differ, or its id.
    """
    return labels_of(
        {(base.parent.name, base.name): spokesman(mine) for base, mine in configs(folders)}
    )


def labels_of(first: Mapping[tuple[str, str], Facts]) -> dict[tuple[str, str], str]:
    """Return what `labels` does, given a run of each experiment."""
    about = {key: one.whose for key, one in first.items()}
    several = [c for c in ("model", "dataset") if len({a[c] for a in about.values()}) > 1]
    found = {k: ", ".join(str(row[c]) for c in (*several, "method")) for k, row in about.items()}
    for same in alike(found):
        if len({about[key]["rewind"] for key in same}) > 1:
            found |= {key: f"{found[key]}, rewind {about[key]['rewind']}" for key in same}
    for same in alike(found):
        found |= {key: f"{found[key]}, {more}" for key, more in apart(same, first).items()}
    return {key: printable(label) for key, label in found.items()}


def alike(found: Mapping[tuple[str, str], str]) -> list[list[tuple[str, str]]]:
    """Return the experiments that still have the same label, in groups."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, label in found.items():
        groups.setdefault(label, []).append(key)
    return [keys for keys in groups.values() if len(keys) > 1]


def apart(
    keys: list[tuple[str, str]], first: Mapping[tuple[str, str], Facts]
) -> dict[tuple[str, str], str]:
    """Return what tells experiments apart: their names, a setting or two, or their ids."""
    if len({name for name, _ in keys}) == len(keys):
        return {key: key[0] for key in keys}
    settings = differing([deciding(first[key]) for key in keys])
    if 0 < len(settings) <= MOST:
        said = {
            key: ", ".join(f"{called(k)} {own[place]}" for k, own in settings.items())
            for place, key in enumerate(keys)
        }
        if len(set(said.values())) == len(keys):
            return said
    return {
        key: key[1] if len({i for _, i in keys}) == len(keys) else "/".join(key) for key in keys
    }


def called(setting: str) -> str:
    """Return the last part of a setting; of the name of an option, what it is a name of."""
    return setting.removesuffix(".name").split(".")[-1]

"""Put configs in an order that means something: by the settings in which they differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lottery.config.identity import flat, identity
from lottery.results.facts import WHOSE, Facts

Rank = tuple[int, float, tuple[tuple[int, float, str], ...]]


def deciding(run: Facts) -> dict[str, Any]:
    """Return the settings that decide the numbers of a run, with dotted keys; {} for damaged."""
    found = run.settings
    return flat(identity(found)) if isinstance(found.get("dataset"), dict) else {}


def differing(some: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all of some configs: key -> a value a config.

    None where a config has no such setting; what belongs together (model.*) stands together. A
    config without any, whose file is damaged, makes no difference.
    """
    keys = dict.fromkeys(key for settings in some for key in settings)
    parts = list(dict.fromkeys(key.partition(".")[0] for key in keys))
    found = {}
    for key in sorted(keys, key=lambda key: parts.index(key.partition(".")[0])):
        values = [(key in settings, settings.get(key)) for settings in some if settings]
        if any(value != values[0] for value in values):
            found[key] = [settings.get(key) for settings in some]
    return found


def telling(runs: Sequence[Facts]) -> list[str]:
    """Return the settings that tell configs apart which no column of `WHOSE` but the id does."""
    alike: dict[tuple[Any, ...], dict[Path, Facts]] = {}
    for run in runs:
        whose = tuple(run.whose[key] for key in WHOSE if key not in ("id", "replicate"))
        alike.setdefault(whose, {}).setdefault(run.folder.parent, run)
    several = [configs.values() for configs in alike.values() if len(configs) > 1]
    found = [differing([deciding(run) for run in configs]) for configs in several]
    return list(dict.fromkeys(key for settings in found for key in settings))


def ranks(bases: Mapping[Path, Facts]) -> Callable[[Path], tuple[Any, ...]]:
    """Return what to sort the folders of configs by, given a run of each.

    That is the name, then the settings that differ among the configs of that name, numbers as
    numbers, then the id; damaged ones are last of their name. Only where several share a name their
    settings are read.
    """
    by_name: dict[str, list[Path]] = {}
    for base in bases:
        by_name.setdefault(base.parent.name, []).append(base)
    settings: dict[Path, tuple[bool, tuple[Rank, ...]]] = {}
    for same in by_name.values():
        known = [deciding(bases[base]) if len(same) > 1 else {} for base in same]
        values = differing(known).values()
        for index, base in enumerate(same):
            settings[base] = not known[index], tuple(rank(each[index]) for each in values)
    return lambda base: (natural(base.parent.name), settings[base], base.name, str(base))


def rank(value: Any) -> Rank:
    """Return what to sort values of all kinds by: none, numbers by size, words as people read."""
    if value is None:
        return 0, 0.0, ()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 1, float(value), ()
    return 2, 0.0, natural(str(value))


def natural(text: str) -> tuple[tuple[int, float, str], ...]:
    """Return what to sort words by, so that 9ep comes before 12ep."""
    parts = re.split(r"(\d{1,18}(?:\.\d{1,18})?)", text)
    return tuple((0, float(p), p) if i % 2 else (1, 0.0, p) for i, p in enumerate(parts) if p)

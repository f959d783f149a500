"""Read the settings of a queue, as slurm.time=02:00:00, each held to what it may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lottery.errors import UsageError
from lottery.wording.spelling import suggestion

NUMBER = r"[1-9]\d*"
NAME = r"[\w.@/:+-]+"


@dataclass(frozen=True)
class Setting:
    """What a setting of a queue may be."""

    default: str
    pattern: str  # of a whole value
    example: str
    what: str  # for people


def split(words: Iterable[str], names: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the words that set nothing of a queue, and those that do, by the queue's name."""
    rest: list[str] = []
    own: dict[str, list[str]] = {name: [] for name in names}
    for word in words:
        queue = word.lstrip("+").partition(".")[0]
        (own[queue] if queue in own and "=" in word else rest).append(word)
    return rest, own


def read(queue: str, words: Iterable[str], known: Mapping[str, Setting]) -> dict[str, str]:
    """Return every setting of a queue; raises UsageError for a name or a value that is none."""
    found = {key: setting.default for key, setting in known.items()}
    for word in words:
        name, _, value = word.lstrip("+").partition("=")
        key = name.removeprefix(f"{queue}.")
        if key not in known:
            hint = suggestion(key, known) or f" (there are: {', '.join(known)})"
            raise UsageError(f"{name}: {queue} has no setting '{key}'{hint}")
        if value and not re.fullmatch(known[key].pattern, value):
            raise UsageError(f"{name}={value} is none; type {name}={known[key].example}, say")
        found[key] = value or known[key].default
    return found


def listed(queue: str, known: Mapping[str, Setting]) -> str:
    """Return a line a setting, for help."""
    words = [(f"{queue}.{key}={setting.example}", setting.what) for key, setting in known.items()]
    width = max(len(word) for word, _ in words)
    return "\n".join(f"  {word:<{width}}  {what}" for word, what in words)

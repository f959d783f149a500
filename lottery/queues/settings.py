"""Read the settings of a queue, as slurm.time=02:00:00, each held to what it may be."""

from __future__ import annotations

import re
import shlex
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
            said = f"type {name}={known[key].example}, say"
            raise UsageError(f"{name}: '{value}' is not what it takes; {said}")
        found[key] = value or known[key].default
    return found


def refuse_foreign(words: Iterable[str], ours: Mapping[str, str], others: Iterable[str]) -> None:
    """Raise UsageError for a word that says a setting of SLURM as sbatch does, or without a queue.

    `ours` are the settings by the names and flags they have there, `others` options of sbatch that
    have no setting.
    """
    waiting = list(words)
    for place, word in enumerate(waiting):
        name, equals, value = word.partition("=")
        after = waiting[place + 1] if place + 1 < len(waiting) else ""
        bare = name.lstrip("-")
        given = value if equals else after if word[:1] == "-" and after[:1] != "-" else "VALUE"
        if name in ours:
            raise UsageError(f"submit: {word}: write slurm.{ours[name]}={given or 'VALUE'}")
        if word.startswith("--") and bare in others:
            said = shlex.quote(shlex.quote(f"{name}={given}" if given != "VALUE" else name))
            raise UsageError(f"submit: {word}: options of sbatch are in slurm.extra={said}")
        if word in ("slurm", "kubernetes") or name in ("slurm", "kubernetes"):
            raise UsageError(f"submit: {word}: name a setting, as in {name}.at_a_time=8")


def listed(queue: str, known: Mapping[str, Setting]) -> str:
    """Return a line a setting, for help."""
    words = [(f"{queue}.{key}={setting.example}", setting.what) for key, setting in known.items()]
    width = max(len(word) for word, _ in words)
    return "\n".join(f"  {word:<{width}}  {what}" for word, what in words)

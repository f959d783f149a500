"""What belongs to an option that was not chosen, or to a board: with the option that has it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lottery.config import defaults
from lottery.config.answers import tables
from lottery.config.answers.options import own_option
from lottery.config.answers.said import Asked, Said
from lottery.config.answers.values import valued
from lottery.wording import synonyms
from lottery.wording.spelling import plain

MOST = 6  # options in an answer


def board(asked: Asked, key: str, value: str) -> Said | None:
    """Return what a setting of a board comes to: wandb.project, logger.wandb.mode, wandb_entity."""
    parts = re.split(r"[._]", key)
    for place, part in enumerate(parts[:-1]):
        name = own_option(asked, "log", part)
        node = defaults.option("log", name, asked.known.places) if name else None
        if not name or not node or part in asked.known.parts and parts[0] == "loggers":
            continue
        wanted = plain("".join(parts[place + 1 :]))
        habits = tables.turned(synonyms.BOARDS.get(name, {}))
        own = {plain(one): one for one in node if one != "name"}.get(wanted) or habits.get(wanted)
        if own:
            setting = f"loggers.{name}.{own}"
            words = [] if name in asked.known.choices.get("log", ()) else [f"log=[{name}]"]
            return Said([*words, f"{setting}={value}"], f"{key} is {setting} here")
    return None


def elsewhere(asked: Asked, key: str, value: str) -> Said | None:
    """Return the answer for a setting that other options of a group have; None for none."""
    where: dict[str, list[str]] = {}  # setting -> the options that have it
    for option, real in asked.known.elsewhere(key).items():
        where.setdefault(real, []).append(option)
    if not where:
        return None
    if "dataset.workers" in where and plain(key).endswith("workers"):
        return absent(asked, "dataset.workers", f"{key}={value}")
    known = {*synonyms.SETTINGS, "train.optimizer.momentum"}
    each = sorted(where, key=lambda real: (real not in known, len(where[real])))
    told = [f"{real} belongs to {either(where[real])}" for real in each]
    parent, _, last = each[0].rpartition(".")
    options = where[each[0]]
    first = next((o for o in options if not needs_path(asked, o)), options[0])
    group = first.partition("=")[0]
    now = asked.known.choices.get(group, ["?"])[0]
    said = valued(asked, each[0], value, key).words[0]
    why = f"{parent} has no setting '{last}' with {group}={now}; {', '.join(told)}"
    return Said([first, said], why)


def needs_path(asked: Asked, option: str) -> bool:
    """Say whether an option reads files that one has to have: pictures in a folder."""
    group, _, name = option.partition("=")
    return "path" in (defaults.option(group, name, asked.known.places) or {})


def absent(asked: Asked, real: str, typed: str) -> Said | None:
    """Return the answer for what some options need no setting of; None for others."""
    if real != "dataset.workers":
        return None
    data = asked.known.choices.get("dataset", ["?"])[0]
    why = f"{typed}: {data} lies in memory, nobody loads it; threads of torch are host.threads"
    return Said([], why)


def either(words: Sequence[str]) -> str:
    """Return words as people list what can be chosen: a, b or c; of many the first few."""
    if len(words) > MOST:
        words = [*words[: MOST - 1], f"{len(words) - MOST + 1} others"]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

"""What a {} given for a group comes to: start={name:pretrained,path:F} in words of their own."""

from __future__ import annotations

import re

from lottery.config.answers.said import Asked, Said
from lottery.config.defaults import LISTS

PAIR = re.compile(r"\s*([\w./-]+)\s*:\s*(.*?)\s*", re.DOTALL)
OPEN, SHUT = "{[(", "}])"


def in_words(asked: Asked, key: str, value: str) -> Said | None:
    """Return the words for what a {} chooses and sets; None where it is a setting as it is.

    Such is one of a component that is chosen already, and one that names no component.
    """
    group = LISTS.get(key) or asked.known.group(key) or asked.known.group(key.replace(".", "/"))
    given = pairs(value)
    if not group or not given:
        return None
    if not given.get("name") and "/" not in key and group not in LISTS.values():
        return None
    if group in LISTS.values():
        several = {str(given["name"]): value} if "name" in given else given
        words = listed(asked, group, several)
    else:
        words = one(asked, group, given)
    if not words:
        return None
    why = f"{key}={value}: what is chosen by its name, and each of its settings, is a word"
    return Said(words, why)


def listed(asked: Asked, group: str, several: dict[str, str]) -> list[str]:
    """Return the words that choose some of a list: branches, loggers."""
    place = next(key for key, name in LISTS.items() if name == group)
    names, words = [], []
    for name, value in several.items():
        inner = pairs(value) or {}
        names.append(asked.known.option(group, inner.pop("name", name)) or name)
        words += [f"{place}.{names[-1]}.{key}={text}" for key, text in inner.items()]
    return [f"{group}=[{','.join(names)}]", *words]


def one(asked: Asked, group: str, given: dict[str, str]) -> list[str]:
    """Return the words that choose an option and set what is its own; [] for none."""
    place = group.replace("/", ".")
    name = given.pop("name", "")
    there = str(asked.known.settings.get(f"{place}.name", ""))
    known = all(f"{place}.{key}" in (*asked.known.settings, *asked.known.nodes) for key in given)
    if name and name == there and known and "/" not in group:
        return []
    if not name:
        settings = [f"{place}.{key}={text}" for key, text in given.items()]
        return settings if group != place else []
    option = asked.known.option(group, name)
    if not option and name != there:
        return [f"{group}={name}"]
    chosen = [f"{group}={option}"] if option else []
    return [*chosen, *(f"{place}.{key}={text}" for key, text in given.items())]


def pairs(value: str) -> dict[str, str] | None:
    """Return the keys and values of a {} as they were typed; None for what is none, or several."""
    depth, begun, found = 0, 1, []
    for at, letter in enumerate(value):
        depth += (letter in OPEN) - (letter in SHUT)
        if depth == 0 and at < len(value) - 1:
            return None
        if (depth == 1 and letter == ",") or (depth == 0 and letter in SHUT):
            found.append(value[begun:at])
            begun = at + 1
    read = [PAIR.fullmatch(each) for each in found if each.strip()]
    if depth or not all(read):
        return None
    return {match[1]: match[2].strip("\"'") for match in read if match}

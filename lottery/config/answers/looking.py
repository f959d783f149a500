"""What the words behind a command that looks at runs come to: options by other names, or bare."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from lottery.config import defaults
from lottery.config.answers.tables import turned
from lottery.wording import synonyms
from lottery.wording.spelling import plain, suggestion

FILE = re.compile(r"[\w./~-]+\.(png|svg|pdf|html?|onnx|safetensors|csv|tex)", re.IGNORECASE)


def meant(word: str, known: Mapping[str, str]) -> str:
    """Return KEY=VALUE for a bare word that says an option: csv, onnx, fig.pdf; "" for others."""
    said = turned(synonyms.HABITS).get(plain(word), "")
    key, equals, _ = said.partition("=")
    if equals and key in known and not known[key].startswith(said.partition("=")[2]):
        return said
    if FILE.fullmatch(word) and known.get("to") == "" and not os.path.exists(word):
        return f"to={word}"
    if known.get("branch") == "" and word in defaults.names_in("branch"):
        return f"branch={word}"
    return ""


def anyway(command: str, words: Sequence[str]) -> list[str]:
    """Return the words of a command without the flags of other tools for what it does anyway."""
    table = synonyms.ANYWAY.get(command, {})
    flags = {flag: own for own, listed in table.items() for flag in listed.split()}
    return [own for word in words if (own := flags.get(word, word))]


def unknown(
    word: str, after: str, known: Mapping[str, str], columns: Sequence[str] = (), grammar: str = ""
) -> str:
    """Return the line for an option that a command does not take; `after` is the word behind it.

    A command that takes filters gives the `columns` that it filters by, and their `grammar`.
    """
    name, equals, value = word.lstrip("-").partition("=")
    habits = turned(synonyms.HABITS)
    real = {plain(k): k for k in known}.get(plain(name)) or habits.get(plain(name), "")
    if real.partition("=")[0] in known:
        whole = real if "=" in real else f"{real}={value or after or 'VALUE'}"
        return f"there is no option '{word}' here; type {whole}"
    groups = {*columns, *defaults.groups()} if columns else set()
    if plain(name) in map(plain, groups) and (value or after):
        key = next(group for group in groups if plain(group) == plain(name))
        return f"there is no option '{word}' here; type {key}={value or after}"
    hint = suggestion(name, known)
    listed = ", ".join([*(f"{key}=" for key in known), "--help"])
    besides = f"; filters are {grammar}" if grammar else ""
    return f"there is no option '{word}' here{hint} (there are: {listed}{besides})"

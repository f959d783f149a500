"""What a word comes to, and how an answer says it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from lottery.config.settings import Known
from lottery.wording.synonyms import Answer

NAMELESS = "VALUE"  # stands in an answer for a value that was not typed


@dataclass
class Said:
    """What a word comes to: the words in place of it, and where it is not plain, the answer."""

    words: list[str]
    why: str = ""  # with what to type, where that is several things
    command: str = ""  # another one than that which was typed
    choice: bool = False  # an option of a group was asked for


@dataclass(frozen=True)
class Asked:
    """What a line chooses among: the settings, whether it sweeps, and its words as typed."""

    known: Known
    sweep: bool
    typed: tuple[str, ...] = field(default=())


def answer(asked: Asked, typed: str, value: str, told_: Answer) -> Said:
    """Return the answer of a table, the first of its choices in place of the word."""
    why, choices = told_
    value = value if value not in ("", "true") else NAMELESS
    told = []
    if value[:1] == "[" and any("={v}" in words for words, _ in choices):
        value = value.strip("[]").partition(",")[0].strip() or NAMELESS
    if any("[{v}ep]" in words for words, _ in choices):
        value = "ep,".join(part.strip() for part in value.strip("[]").split(","))
    for words, when in choices:
        made = re.sub(
            r"(\d(?:ep|it))(?:ep|it)\b",
            r"\1",
            words.format(v=value if "'" in words else shlex.quote(value)),
        )
        told.append((made, when))
    first = shlex.split(told[0][0])
    command = first.pop(0).removesuffix(":") if first and first[0].endswith(":") else ""
    reasons = f"{typed}: {why}"
    if len(told) > 1:
        each = [f"{words} ({when})" if when else words for words, when in told]
        reasons += f": {', '.join(each[:-1])} or {each[-1]}"
    elif not why and not command:
        reasons = ""
    if first and not command and asked.known.ending(typed.partition("=")[0]):
        reasons = reasons or f"{typed}: {told[0][1]} is {told[0][0]}"
    return Said(first, reasons, command)


def split(value: str) -> list[str]:
    """Return the parts of a value between commas that stand in no brackets and no quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in value:
        if letter in "\"'" and quote in ("", letter):
            quote = "" if quote else letter
        depth += (letter in "[{(") - (letter in "]})") if not quote else 0
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return parts

"""Keep what a run was warned of, in run.json, for whoever looks at it later. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lottery.wording.text import printable

MOST, LONGEST = 200, 600  # warnings of a run, and characters of one
MORE = re.compile(r"at least ([0-9]{1,9}) later warnings? (?:is|are) not kept")
KINDS = (  # in the order of how much they matter to who reads a number
    "collapse", "diverged", "rate", "environment", "ticket", "damage", "board", "other",
)  # fmt: skip


@dataclass(frozen=True)
class Warned:
    """One warning: its line, a word for its kind, and the level that it is about."""

    text: str
    kind: str = "other"
    level: int | None = None
    branch: str = ""

    @property
    def line(self) -> str:
        """The line, with its level in front where it does not begin with it."""
        where = "" if self.level is None else f"level {self.level}"
        where += f" {self.branch}" if where and self.branch else ""
        return self.text if not where or self.text.startswith(where) else f"{where}: {self.text}"


def warned(text: object, kind: str = "other", level: int | None = None, branch: str = "") -> Warned:
    """Return a warning as it may be kept and shown anywhere: a line, of bounded length."""
    line = printable(" ".join(str(text).split()))
    line = line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
    return Warned(line, kind if kind in KINDS else "other", level, branch)


def merged(before: Iterable[Warned], new: Iterable[Warned]) -> list[Warned]:
    """Return warnings in order, each once; of very many the first, and a line of how many more.

    A run that goes on may be warned anew of what was left out before, so that is a lower bound.
    """
    every = dict.fromkeys([*before, *new])
    said = {one: int(found[1]) for one in every if (found := MORE.fullmatch(one.text))}
    some = [one for one in every if one not in said]
    if not (more := max([*said.values(), len(some[MOST:])])):
        return some
    text = f"at least {more} later warning{'s are' if more > 1 else ' is'} not kept"
    return [*some[:MOST], Warned(text)]


def as_data(some: Iterable[Warned]) -> list[dict[str, Any]]:
    """Return warnings as run.json holds them."""
    return [{k: v for k, v in asdict(one).items() if v not in (None, "")} for one in some]


def of_record(record: Mapping[str, Any]) -> list[Warned]:
    """Return the warnings that run.json holds; [] where an older version wrote it.

    It may come from elsewhere: what is no warning is passed over.
    """
    found = []
    for one in record.get("warnings", []):
        if isinstance(one, dict) and isinstance(one.get("text"), str):
            level, branch = one.get("level"), one.get("branch", "")
            level = level if type(level) is int and 0 <= level < 10**6 else None
            branch = printable(branch)[:LONGEST] if isinstance(branch, str) else ""
            found.append(warned(one["text"], str(one.get("kind")), level, branch))
    return merged(found, ())


def kinds(some: Iterable[Warned]) -> list[str]:
    """Return the kinds of warnings, each once, what matters most first."""
    return sorted({one.kind for one in some}, key=KINDS.index)

"""Read what can be reproduced: figures of papers, with what is run and what they claim.

A reproduction is a file papers/PAPER/FIGURE.yaml beside this one, or one of the user's: what is run
at each budget, what of it is read, the published numbers with their spread, and the claims. Imports
neither torch nor pandas.
"""

import hashlib
import math
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lottery.config.identity import NOT_IDENTITY
from lottery.errors import UsageError
from lottery.storage.yamls import decoded, parse
from lottery.wording.spelling import suggestion
from lottery.wording.text import first_line

PAPERS = Path(__file__).parent / "papers"
BUDGETS = ("paper", "short", "smoke")
# Kinds of claims, each with the key of what it is held against.
SECOND = {"better": "than", "as_good": "as", "more": "than", "below": "of"}
NUMBER = (int, float, str)  # YAML takes 1e-3 for a word
# What a file may say, and as what: of the whole, of a budget, of a row, of a claim.
WHOLE = {
    "paper": str, "shows": str, "source": str, "tolerance": NUMBER, "x": str, "y": str,
    "budgets": dict, "rows": dict, "claims": list,
}  # fmt: skip
BUDGET = {"runs": list, "differs": str, "analyses": list}
ROW = {"runs": list, "of": str, "where": dict, "x": str, "y": str, "published": dict}
CLAIM = {"say": str, "at": list} | dict.fromkeys((*SECOND, *SECOND.values()), NUMBER)
KINDS: dict[Any, str] = {
    str: "text", list: "a list, as in [one, two]", dict: "keys with values", NUMBER: "a number"
}  # fmt: skip
LONGEST = 60  # letters of settings in the name of a folder; of more there is a hash


@dataclass(frozen=True)
class Budget:
    """What is run: the words of a sweep, a command each; and in what that is not the paper's."""

    runs: tuple[tuple[str, ...], ...]
    differs: str
    analyses: tuple[tuple[str, ...], ...] = ()  # of all its runs: words of `lottery analyze`


@dataclass(frozen=True)
class Series:
    """A row of a table: of which runs, of which of their tables, which column."""

    runs: tuple[str, ...]  # filters, as for `lottery ls`
    of: str  # levels, branches, bench, or the name of what an analysis found
    where: Mapping[str, Any]  # column -> the word that rows have there
    x: str  # a column of that table, or a setting of the run
    y: str
    published: Mapping[Any, tuple[float, float]]  # x -> value and spread, in per cent for shares


@dataclass(frozen=True)
class Claim:
    """What the paper says of two rows, or of one and a number."""

    say: str
    kind: str  # better, as_good, more, below
    one: str
    other: str | float
    at: tuple[Any, ...]  # on the x axis; none = all that the rows share but the dense net


@dataclass(frozen=True)
class Reproduction:
    """A figure or table of a paper, and how to make it again."""

    name: str  # PAPER:FIGURE
    paper: str
    shows: str
    source: str  # of the published numbers, and how sure they are
    tolerance: float  # what is smaller counts as met, in the unit of what is measured
    budgets: Mapping[str, Budget]
    series: Mapping[str, Series]
    claims: tuple[Claim, ...]

    def folder(self, budget: str, settings: Sequence[str] = ()) -> str:
        """Return the name of its runs under outputs/: another one where settings change numbers."""
        own = f"reproduce_{plain(self.name)}_{budget}"
        words = ",".join(sorted(changing(settings)))
        said = plain(words)
        if len(said) > LONGEST:
            said = hashlib.sha256(words.encode()).hexdigest()[:10]
        return f"{own}_{said}" if said else own


def plain(text: str) -> str:
    """Return text with what may not stand in the name of a folder, or in a filter, as _."""
    return re.sub(r"[^\w.+-]+", "_", text)


def changing(settings: Sequence[str]) -> list[str]:
    """Return those of some words for `lottery run` that change the numbers of a level."""
    tops = {word: re.split(r"[.=/]", word.lstrip("+~"))[0] for word in settings}
    return [word for word, top in tops.items() if top not in NOT_IDENTITY]


def files() -> dict[str, Path]:
    """Return the files of our reproductions by name."""
    return {f"{p.parent.name}:{p.stem}": p for p in sorted(PAPERS.glob("*/*.yaml"))}


def named(words: Sequence[str]) -> list[Reproduction]:
    """Return the reproductions that words name: PAPER:FIGURE, all of PAPER, `all`, or a yaml file.

    Raises UsageError, with the near ones, for a word that names none.
    """
    known = files()
    chosen: dict[str, Path] = {}
    for word in (part for each in words for part in each.split(",") if part):
        some = {n: p for n, p in known.items() if word in ("all", n, n.partition(":")[0])}
        if word.endswith((".yaml", ".yml")):
            some = {Path(word).stem: Path(word)}
        if not some:
            papers = dict.fromkeys(n.partition(":")[0] for n in known)
            hint = suggestion(word, [*known, *papers]) or "; lottery reproduce lists them"
            raise UsageError(f"reproduce: there is no reproduction '{word}'{hint}")
        for name, path in some.items():
            if chosen.setdefault(name, path) != path:
                raise UsageError(
                    f"reproduce: {chosen[name]} and {path} would be one, '{name}'; rename a file"
                )
    return [read(name, path) for name, path in chosen.items()]


def read(name: str, path: Path) -> Reproduction:
    """Return a reproduction; raises UsageError, with the file, for what is none."""
    try:
        return understood(name, parse(decoded(path.read_bytes())))
    except OSError as error:
        raise UsageError(f"reproduce: {path} cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else first_line(error)
        raise UsageError(f"reproduce: {path} is no reproduction: {what}") from error


def understood(name: str, said: Mapping[str, Any]) -> Reproduction:
    """Return what a file says; raises KeyError or ValueError for what it lacks or says wrongly."""
    checked("it", said, WHOLE, ("paper", "shows", "source", "budgets", "rows", "claims"))
    if unknown := {*map(str, said["budgets"])} - {*BUDGETS}:
        raise ValueError(f"budgets are {', '.join(BUDGETS)}, not {', '.join(sorted(unknown))}")
    if not said["budgets"] or not said["rows"]:
        raise ValueError("it needs a budget and a row")
    for word, each in said["budgets"].items():
        checked(f"budget {word}", each, BUDGET, ("runs",))
    for label, each in said["rows"].items():
        checked(f"row '{label}'", each, ROW)
    budgets = {
        word: Budget(
            commands(each["runs"]), each.get("differs", ""), commands(each.get("analyses", ()))
        )
        for word, each in said["budgets"].items()
    }
    if not all(budget.runs for budget in budgets.values()):
        raise ValueError("a budget runs nothing")
    series = {
        str(label): Series(
            tuple(map(str, each.get("runs", ()))), each.get("of", "levels"), each.get("where", {}),
            each.get("x", said.get("x", "density")), each.get("y", said.get("y", "test")),
            {place(at): pair(value) for at, value in each.get("published", {}).items()},
        )
        for label, each in said["rows"].items()
    }  # fmt: skip
    claims = [claimed(each, series) for each in said["claims"]]
    tolerance = number("tolerance", said.get("tolerance", 0.01))
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance: {tolerance:g} is no number from 0 on")
    return Reproduction(
        name, said["paper"], said["shows"], said["source"], tolerance, budgets, series,
        tuple(claims),
    )  # fmt: skip


def commands(lines: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return lines as the words of commands."""
    return tuple(tuple(shlex.split(line)) for line in lines)


def claimed(each: Mapping[str, Any], series: Collection[str]) -> Claim:
    """Return a claim; raises KeyError or ValueError for what it lacks or says wrongly."""
    checked("a claim", each, CLAIM, ("say",))
    kind = next((kind for kind in SECOND if kind in each), "")
    if not kind:
        raise ValueError(f"a claim is one of {', '.join(SECOND)}: {each}")
    if SECOND[kind] not in each:
        raise ValueError(f"claim '{each['say']}': {kind} lacks its '{SECOND[kind]}'")
    one, other = str(each[kind]), each[SECOND[kind]]
    for label in (one,) if kind == "below" else (one, str(other)):
        if label not in series:
            raise ValueError(f"a claim is about '{label}', and no row is called so")
    held = number("of", other) if kind == "below" else str(other)
    return Claim(each["say"], kind, one, held, tuple(map(place, each.get("at", ()))))


def checked(what: str, said: Any, known: Mapping[str, Any], needed: Sequence[str] = ()) -> None:
    """Raise ValueError for a key that is not known or of another kind, KeyError for one lacking."""
    if not isinstance(said, Mapping):
        raise ValueError(f"{what} has to be {KINDS[dict]}, not {said!r}")
    for key, value in said.items():
        if key not in known:
            hint = suggestion(str(key), known) or f" (there are: {', '.join(known)})"
            raise ValueError(f"{what} has no '{key}'{hint}")
        if isinstance(value, bool) or not isinstance(value, known[key]):
            raise ValueError(f"{what}: {key} has to be {KINDS[known[key]]}")
    for key in needed:
        if key not in said:
            raise KeyError(key)


def pair(value: Any) -> tuple[float, float]:
    """Return a published value and its spread, NaN where none is known."""
    some = value if isinstance(value, list) else [value]
    if not 1 <= len(some) <= 2:
        raise ValueError(f"published: {value} is neither a number nor [number, spread]")
    mean, spread = [*(number("published", each) for each in some), math.nan][:2]
    return mean, spread


def number(what: str, value: Any) -> float:
    """Return a number; raises ValueError for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: {value} is no number") from error


def place(said: Any) -> Any:
    """Return a place on the x axis: a number also where YAML takes it for a word, like 1e-3."""
    try:
        return float(said) if isinstance(said, str) else said
    except ValueError:
        return said

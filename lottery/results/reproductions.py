"""Read what can be reproduced: figures of papers, with what is run and what they claim.

A reproduction is a file papers/PAPER/FIGURE.yaml beside this one, or one of the user's: what is run
at each budget, what of it is read, the published numbers with their spread, and the claims. Imports
neither torch nor pandas.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lottery.errors import UsageError
from lottery.storage.yamls import decoded, parse
from lottery.wording.spelling import suggestion
from lottery.wording.text import first_line

PAPERS = Path(__file__).parent / "papers"
BUDGETS = ("paper", "short", "smoke")
# Kinds of claims, each with the key of what it is held against.
SECOND = {"better": "than", "as_good": "as", "more": "than", "below": "of"}


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

    def folder(self, budget: str) -> str:
        """Return the name of its runs under outputs/."""
        return f"reproduce_{self.name.replace(':', '_')}_{budget}"


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
        chosen |= some
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
    budgets = {
        word: Budget(
            commands(each["runs"]), each.get("differs", ""), commands(each.get("analyses", ()))
        )
        for word, each in said["budgets"].items()
    }
    if unknown := {*budgets} - {*BUDGETS}:
        raise ValueError(f"budgets are {', '.join(BUDGETS)}, not {', '.join(sorted(unknown))}")
    series = {
        label: Series(
            tuple(each.get("runs", ())), each.get("of", "levels"), each.get("where", {}),
            each.get("x", said.get("x", "density")), each.get("y", said.get("y", "test")),
            {at: pair(value) for at, value in each.get("published", {}).items()},
        )
        for label, each in said["rows"].items()
    }  # fmt: skip
    claims = []
    for each in said["claims"]:
        kind = next((kind for kind in SECOND if kind in each), "")
        if not kind:
            raise ValueError(f"a claim is one of {', '.join(SECOND)}: {each}")
        one, other = each[kind], each[SECOND[kind]]
        for label in (one,) if kind == "below" else (one, other):
            if label not in series:
                raise ValueError(f"a claim is about '{label}', and no row is called so")
        claims.append(Claim(each["say"], kind, one, other, tuple(each.get("at", ()))))
    return Reproduction(
        name, said["paper"], said["shows"], said["source"], float(said.get("tolerance", 0.01)),
        budgets, series, tuple(claims),
    )  # fmt: skip


def commands(lines: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return lines as the words of commands."""
    return tuple(tuple(shlex.split(line)) for line in lines)


def pair(value: Any) -> tuple[float, float]:
    """Return a published value and its spread, NaN where none is known."""
    some = value if isinstance(value, list) else [value]
    return float(some[0]), float(some[1]) if len(some) > 1 else math.nan

"""Read what a search may vary: space.KEY=VALUES, and say a value as one types it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lottery.config.answers.said import split
from lottery.errors import UsageError

SPACE = "space."
FORMS = "log:LOW:HIGH, LOW:HIGH, int:LOW:HIGH, int:log:LOW:HIGH, or A,B,C"
KINDS = ("log", "int")
FINE = 100  # parts, at least, in which the values of a range are told apart
SAME = ("replicate", "levels", "levels_until", "name", "outputs", "data", "host", "loggers",
        "strict", "sanity", "checkpoint_every", "branch", "branches", "branch_levels", "analysis",
        "analyses", "analysis_levels", "log")  # fmt: skip
JUDGES = ("dataset", "dataset.name", "dataset.validation", "dataset.split_seed")


class Draw(Protocol):
    """Where values come from, as Optuna's Trial names it."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int: ...
    def suggest_categorical(self, name: str, choices: list[str]) -> str: ...


@dataclass(frozen=True)
class Axis:
    """One setting that a search varies: some choices, or the numbers of a range."""

    key: str
    text: str  # as typed behind the =
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def probes(self) -> tuple[str, ...]:
        """What is composed before anything is trained: each choice, the ends of a range."""
        return self.choices or (self.said(self.low), self.said(self.high))

    def draw(self, source: Draw) -> str:
        """Return a value as one types it."""
        if self.choices:
            return source.suggest_categorical(self.key, list(self.choices))
        if self.whole:
            low, high = int(self.low), int(self.high)
            return self.said(source.suggest_int(self.key, low, high, log=self.log))
        return self.said(source.suggest_float(self.key, self.low, self.high, log=self.log))

    def said(self, value: float | str) -> str:
        """Return a value as one types it, a number with as few digits as tell it apart.

        Rounded to a power of ten of at most a hundredth of the range; of a range by logarithms of
        at most a hundredth of the value. An end of the range stays as it is.
        """
        if isinstance(value, str):
            return value
        if self.whole:
            return str(int(value))
        if value in (self.low, self.high):
            return f"{value:.12g}"
        span = self.high - self.low
        part = (min(abs(value), span) if self.log else span) / FINE
        rounded = round(value, -math.floor(math.log10(part)))
        return f"{min(max(rounded, self.low), self.high):.12g}"


def axis(word: str, meant: Callable[[str, str], str]) -> Axis:
    """Return what a word space.KEY=VALUES varies; raises UsageError for one that varies nothing.

    `meant` returns the whole key that a short one stands for, given one of its values.
    """
    typed, equals, text = word.removeprefix(SPACE).partition("=")
    if not typed or not equals or not text:
        raise UsageError(f"search: {word}: type space.KEY= and {FORMS}")
    found = choices(word, text) if ":" not in text or len(split(text)) > 1 else numbers(word, text)
    key = meant(typed, found.probes[0])
    if key.split(".")[0] in SAME:
        raise UsageError(
            f"search: {word}: {key} is nothing that validation can choose; type {key}=VALUE"
        )
    if key in JUDGES:
        raise UsageError(
            f"search: {word}: each would be judged by validation data of its own; type {key}=VALUE"
        )
    return Axis(key, text, found.choices, found.low, found.high, found.log, found.whole)


def choices(word: str, text: str) -> Axis:
    """Return an axis of values between commas; raises UsageError for fewer than two."""
    values = tuple(value.strip() for value in split(text))
    if not all(values):
        raise UsageError(f"search: {word}: there is an empty value between commas")
    if len(values) < 2:
        key = word.removeprefix(SPACE).partition("=")[0]
        raise UsageError(
            f"search: {word}: of a single value there is no choice; type {key}={text}, or {FORMS}"
        )
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise UsageError(f"search: {word}: {twice} stands there twice")
    return Axis("", text, values)


def numbers(word: str, text: str) -> Axis:
    """Return an axis of the numbers of a range; raises UsageError for what is none."""
    *kinds, low, high = text.split(":")
    if {*kinds} - {*KINDS} or low in KINDS or len({*kinds}) < len(kinds):
        raise UsageError(f"search: {word}: '{text}' is no range; type {FORMS}")
    whole, log = "int" in kinds, "log" in kinds
    try:
        ends = [int(end) if whole else float(end) for end in (low, high)]
    except ValueError:
        what = "whole numbers" if whole else "numbers"
        raise UsageError(f"search: {word}: {low} to {high} are no {what}; type {FORMS}") from None
    if not all(map(math.isfinite, ends)):
        raise UsageError(f"search: {word}: a range has two ends that are finite numbers")
    if not ends[0] < ends[1]:
        raise UsageError(f"search: {word}: {low} is not below {high}; type the lower end first")
    if log and ends[0] <= 0:
        raise UsageError(
            f"search: {word}: there is no logarithm of {low}; type a low end above 0, or leave "
            "log: out"
        )
    return Axis("", text, (), ends[0], ends[1], log, whole)

"""Read filters as they are typed, and say which runs they keep: prune=imp,random test>95."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import yaml

from lottery.errors import UsageError
from lottery.results.facts import ALSO, age
from lottery.results.formats import about
from lottery.terms.metric import Metric
from lottery.wording import synonyms
from lottery.wording.spelling import plain

GRAMMAR = "KEY=VALUE[,VALUE...], KEY!=VALUE[,VALUE...], 'KEY>NUMBER', >=, < or <="
WORD = re.compile(r"([A-Za-z_][\w./@-]*?)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)
SIGNS = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
MEASURED = ("density", "seconds", "left")  # columns, rounded, beside those of a metric
DIGITS = 3  # of a rounded number that count, at least
AMOUNT = re.compile(
    r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?) ?(%|ep|it|s|min|h|d|)", re.IGNORECASE
)
SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}  # in a unit of time
TIMES = ("age", "left", "seconds")  # keys in seconds
DATES = ("started", "ended")
HASH, SHOWN = re.compile(r"[0-9a-f]{64}"), 8  # a sha256, and how many digits tables show
DATE = re.compile(r"\d{4}-\d\d(-\d\d.*)?")


@dataclass(frozen=True)
class Filter:
    """A word KEY, sign and VALUES that keeps some runs."""

    word: str
    key: str
    sign: str
    wanted: tuple[str, ...]

    def place(self, values: Sequence[Any], metric: Metric | None = None) -> int | None:
        """Return which of the wanted values the run's values are, the first 0; None: left out.

        `metric` is what the key stands for in that run, if it does. A number above 1, or with %,
        is one of per cent where that is a share.
        """
        if self.key == "age":
            values = [age(value) for value in values]
        if self.sign in SIGNS:
            return 0 if any(self.beyond(value, metric) for value in values) else None
        fits = (
            i for i, text in enumerate(self.wanted) for v in values if self.same(v, text, metric)
        )
        found = next(fits, None)
        if self.sign == "!=":
            return 0 if found is None else None
        return found

    def same(self, value: Any, text: str, metric: Metric | None = None) -> bool:
        """Say whether a value is the one that was typed: by its words, with *, or as a number.

        Of what is measured, and shown rounded, the digits that were typed count; a length of time,
        and a metric, is also what `lottery ls` shows: 2h, 0.50. A date is any time of that date.
        """
        shown = self.shown(value, metric)
        text = text.replace(" ", "") if self.key in TIMES else text
        bare = shown.removesuffix("%") if metric else shown  # as in a column of ls
        whole = spelled(value)
        if HASH.fullmatch(whole) and len(text) >= SHOWN and whole.startswith(text):
            return True
        for words in (whole, shown, bare):
            if fnmatchcase(words, text) if "*" in text else words == text:
                return True
        if (
            ALSO.get(self.key, self.key) in DATES
            and isinstance(value, str)
            and DATE.fullmatch(text)
        ):
            return value.startswith(text)
        typed, own = amount(text), amount(value)
        if typed and own and not isinstance(value, str):  # an id may look like a number
            if not self.rounded(metric):
                return typed == own
            scaled = self.scaled(own[0], *typed, metric)
            digits = max(DIGITS, significant(text))
            return scaled is not None and float(f"{scaled:.{digits}g}") == typed[0]
        try:
            read = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            return False
        return (type(read) is bool) == (type(value) is bool) and bool(read == value)

    def shown(self, value: Any, metric: Metric | None = None) -> str:
        """Return a value as `lottery ls` shows it, and as it can be typed."""
        if self.key == "age" and isinstance(value, str):
            value = age(value)
        if not isinstance(value, float):
            return spelled(value)
        if self.key in TIMES:
            return about(value).replace(" ", "")
        if metric:
            return metric.said(value).replace(" ", "")
        return f"{value:.4g}" if self.key in MEASURED else spelled(value)

    def beyond(self, value: Any, metric: Metric | None = None) -> bool:
        """Say whether a value lies on the side of the number that the sign asks for."""
        (text,) = self.wanted
        typed, own = amount(text), amount(value)
        if typed and own:
            if self.rounded(metric):
                scaled = self.scaled(own[0], *typed, metric)
                return scaled is not None and bool(SIGNS[self.sign](scaled, typed[0]))
            return typed[1] == own[1] and bool(SIGNS[self.sign](own[0], typed[0]))
        dates = DATE.fullmatch(text) and isinstance(value, str) and DATE.fullmatch(value)
        return bool(dates) and bool(SIGNS[self.sign](value[: len(text)], text))

    def rounded(self, metric: Metric | None) -> bool:
        """Say whether the key stands for what is measured, and shown rounded."""
        return metric is not None or self.key in (*TIMES, *MEASURED)

    def scaled(
        self, value: float, typed: float, unit: str, metric: Metric | None = None
    ) -> float | None:
        """Return a measured value in the unit of a typed number; None for a unit that it has not.

        A share is in per cent beside a number above 1 too.
        """
        if self.key in TIMES:
            return value / SECONDS[unit] if unit in SECONDS else None
        if unit not in ("", "%") or (unit and metric and not metric.in_points):
            return None
        if metric:
            return metric.scale * value if unit or typed > 1 else value
        return 100 * value if unit else value


def parse(word: str) -> Filter | None:
    """Return the filter that a word is; None for a word that names a run.

    Raises UsageError for a comparison with what is no number.
    """
    match = WORD.fullmatch(word)
    if not match:
        return None
    key, sign, text = match.groups()
    if sign in SIGNS and not (amount(text) or DATE.fullmatch(text)):
        raise UsageError(
            f"'{word}' compares with no number; type a number, as in 'density{sign}0.1', or a "
            f"date, as in 'started{sign}2026-01-31'"
        )
    return Filter(word, key, sign, (text,) if sign in SIGNS else alternatives(text))


def elsewhere(asked: Filter) -> Filter:
    """Return a filter whose key is what other tools call it, as one by our own: lr, epochs=5."""
    word = plain(asked.key)
    for (real, unit), words in synonyms.COUNTED.items():
        if word in map(plain, words.split()):
            counted = (f"{text}{unit}" if text.isdigit() else text for text in asked.wanted)
            return replace(asked, key=real, wanted=tuple(counted))
    for real, words in (*synonyms.SETTINGS.items(), *synonyms.GROUPS.items()):
        if word in map(plain, words.split()):
            return replace(asked, key=real)
    return asked


def as_written(asked: Filter, values: Sequence[Any]) -> Filter:
    """Return a filter whose words stand as runs have them: case, - and _ do not count."""
    if asked.sign != "=":
        return asked
    names = {plain(v): v for v in values if isinstance(v, str) and v[:1].isalpha()}
    return replace(asked, wanted=tuple(names.get(plain(text), text) for text in asked.wanted))


def alternatives(text: str) -> tuple[str, ...]:
    """Return the values of a filter; commas in brackets are part of one."""
    return tuple(re.findall(r"(?:\[[^\]]*\]|[^,\[])+", text)) or ("",)


def amount(value: Any) -> tuple[float, str] | None:
    """Return a number, or text that is one, with its unit (%, ep, it or none); None for others."""
    if isinstance(value, float) and math.isinf(value):
        return value, ""
    match = AMOUNT.fullmatch(value if isinstance(value, str) else spelled(value))
    return (float(match[1]), match[2].lower()) if match else None


def significant(text: str) -> int:
    """Return how many digits of a typed number count."""
    mantissa = text.lower().partition("e")[0]
    return len(re.sub(r"\D", "", mantissa).lstrip("0"))


def shortened(value: Any) -> str:
    """Return a value for a table: of a sha256 as many digits as a filter takes."""
    text = spelled(value)
    return text[:SHOWN] if HASH.fullmatch(text) else text


def spelled(value: Any) -> str:
    """Return a value as it is typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)

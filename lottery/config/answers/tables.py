"""The tables of `synonyms` the other way round: a word as people type it -> what it is here."""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from lottery.wording import synonyms
from lottery.wording.spelling import plain
from lottery.wording.synonyms import Answer

What = TypeVar("What")


def plains(words: str) -> list[str]:
    """Return words of a table without case, - and _."""
    return [plain(word) for word in words.split()]


def turned(table: Mapping[What, str]) -> dict[str, What]:
    """Return a table of words for things as one of the thing that each word is."""
    return {word: what for what, words in table.items() for word in plains(words)}


@cache
def words_of(name: str) -> Mapping[str, str]:
    """Return what each word of SETTINGS, GROUPS, SWITCHES or ALIASES is."""
    return turned(getattr(synonyms, name))


@cache
def counted() -> Mapping[str, tuple[str, str]]:
    """Return the setting and the unit of each word that counts epochs or steps."""
    return turned(synonyms.COUNTED)


@cache
def answers() -> Mapping[str, Answer]:
    """Return the answer to each word that is no setting of ours."""
    return told(synonyms.ANSWERS)


@cache
def commands() -> Mapping[str, Answer]:
    """Return the answer to each word in the place of a command."""
    return told(synonyms.COMMANDS)


@cache
def options(group: str) -> Mapping[str, str]:
    """Return the option of a group that each word is."""
    return turned(synonyms.OPTIONS.get(group, {}))


@cache
def choices(group: str) -> Mapping[str, Answer]:
    """Return the answer to each word of a group that may be several of its options, or none."""
    return told(synonyms.CHOICES.get(group, {}))


@cache
def values(key: str) -> Mapping[str, str]:
    """Return the value of a setting that each word is."""
    table = synonyms.VALUES.get(key, {})
    return {plain(own): own for own in table} | turned(table)


@cache
def nets() -> Mapping[str, str]:
    """Return the net of torchvision that each word is."""
    table = synonyms.TORCHVISION
    return {plain(own): own for own in table} | turned(table)


def told(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with several words to an answer as one with a word to each."""
    return {word: answer for words, answer in table.items() for word in plains(words)}


@cache
def all_words() -> Mapping[str, str]:
    """Return every word of a setting or a group, for near ones: plain -> as written."""
    named = (synonyms.SETTINGS, synonyms.COUNTED, synonyms.GROUPS, synonyms.SWITCHES)
    rows = [*(words for table in named for words in table.values()), *synonyms.ANSWERS]
    rows += [synonyms.REMOVED, synonyms.REMOVED_EACH, synonyms.KEPT, synonyms.TIMES]
    rows.append(synonyms.SEVERAL)
    return {plain(word): word for words in rows for word in words.split()}

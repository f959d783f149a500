"""Find the runs that words name: a path, an id, a name, or filters such as prune=imp,random."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lottery.errors import UsageError
from lottery.results import filters
from lottery.results.facts import ALSO, Facts
from lottery.results.folders import absolute, matching, run_folders
from lottery.results.naming import brief, listed, missing, none_there, unknown
from lottery.results.order import ranks
from lottery.storage.records import UNREAD
from lottery.wording.spelling import plain, suggestion
from lottery.wording.text import printable

WRONG = ("damaged", UNREAD)  # states of runs of which nothing else is known


def choose(
    outputs: Path, words: Sequence[str], asked_by: str = "", options: Iterable[str] = ()
) -> tuple[Path, ...]:
    """Return the replicate folders that the words name, each once; see `chosen`."""
    return tuple(one.folder for one in chosen(outputs, words, asked_by, options))


def chosen(
    outputs: Path, words: Sequence[str], asked_by: str = "", options: Iterable[str] = ()
) -> list[Facts]:
    """Return the runs that the words name, each once.

    A word that is no filter names runs: a path, the start of an id, a name, name/id, any of them
    with /replicate_K; several unite, and none stands for all. A filter (`filters.GRAMMAR`) keeps
    the runs where a column of `lottery ls`, an option (train/lr=cosine) or a setting
    (train.batch_size=64) is as it says.

    The runs stand in the order of the words, then of the values of a filter, as they were typed;
    then by name and by the settings that differ (`order.ranks`), the replicates of a config side by
    side. Raises UsageError, with the near ones, for a word that names nothing, for a filter by what
    neither a run has nor the command, by its `options`, takes, and for filters that leave nothing.
    """
    head, outputs = f"{asked_by}: " if asked_by else "", outputs.expanduser()
    named = [w for w in words if not is_filter(w, outputs)]
    found: dict[Path, int] = {}
    for place, word in enumerate(named):
        some = matching(outputs, word) or having(outputs, word)
        if not some:
            raise UsageError(head + unknown(outputs, word))
        found = dict.fromkeys(some, place) | found
    if not named:
        if missing(outputs):
            raise UsageError(head + none_there(outputs))
        found = {absolute(folder): 0 for folder in run_folders(outputs)}
    facts = [Facts(folder) for folder in found]
    places = {folder: [place] for folder, place in found.items()}
    for word in words:
        if is_filter(word, outputs) and facts:
            kept = narrowed(facts, word, head, options)
            facts = [one for one, _ in kept]
            for one, place in kept:
                places[one.folder].append(place)
    return in_order(facts, places)


def having(outputs: Path, word: str) -> list[Path]:
    """Return the runs of which a word is the state, or an option that they were composed of."""
    found = map(Facts, run_folders(outputs))
    wanted = plain(word)
    return [f.folder for f in found if wanted in map(plain, (f.state, *f.choices.values()))]


def in_order(facts: Sequence[Facts], places: Mapping[Path, list[int]]) -> list[Facts]:
    """Return runs in the order of their places, then of their configs, then of replicates."""
    first: dict[Path, Facts] = {}
    best: dict[Path, list[int]] = {}
    for one in facts:
        base = one.folder.parent
        first.setdefault(base, one)
        best[base] = min(best.get(base, places[one.folder]), places[one.folder])
    by = ranks(first)
    keys = {base: (best[base], by(base)) for base in first}
    return sorted(facts, key=lambda one: (keys[one.folder.parent], one.replicate))


def one(outputs: Path, words: str | Sequence[str], asked_by: str = "show") -> Path:
    """Return the one replicate folder that a word, or several with filters, name.

    Raises UsageError, with the near ones, unless there is exactly one.
    """
    words = [words] if isinstance(words, str) else words
    found = choose(outputs, words, asked_by)
    if len(found) != 1:
        raise unclear(outputs, words, found, asked_by)
    return found[0]


def replicates(outputs: Path, words: str | Sequence[str], asked_by: str) -> list[Path]:
    """Return the replicate folders of the one config that a word, or several with filters, name.

    Raises UsageError where they name none, or several configs.
    """
    words = [words] if isinstance(words, str) else words
    found = list(choose(outputs, words, asked_by))
    if len({f.parent for f in found}) != 1:
        raise unclear(outputs, words, found, asked_by)
    return found


def unclear(
    outputs: Path, words: Sequence[str], found: Sequence[Path], asked_by: str
) -> UsageError:
    """Return the error for words that name no run where there is none, or too many."""
    if not found:
        return UsageError(f"{asked_by}: {none_there(outputs)}")
    word = printable(" ".join(words))
    return UsageError(f"{asked_by}: '{word}' names several runs; there are: {listed(found)}")


def is_filter(word: str, outputs: Path = Path("outputs")) -> bool:
    """Say whether a word narrows: KEY, a sign and VALUES, and the name of nothing there is."""
    return filters.WORD.fullmatch(word) is not None and not lies_there(word, outputs)


def lies_there(word: str, outputs: Path) -> bool:
    """Say whether a word is a path of something, from here or from `outputs`."""
    return os.path.exists(word) or (bool(word) and os.path.isdir(outputs / word))


def narrowed(
    facts: Sequence[Facts], word: str, head: str, options: Iterable[str] = ()
) -> list[tuple[Facts, int]]:
    """Return the runs that a filter leaves, each with the place of its value among those typed.

    Raises UsageError for none, with what there is.
    """
    asked = understood(facts, word, head, options)
    found = [(one, one.values(asked.key)) for one in facts]
    kept = fitting(asked, found)
    if kept:
        for one in lost(found, [one for one, _ in kept], asked.key):
            warnings.warn(
                f"{printable(one.folder / 'run.json')} is damaged, so that nobody can tell whether "
                f"{printable(word)} fits; it is left out",
                stacklevel=2,
            )
        return kept
    raise UsageError(f"{head}no run with {word}; {there_is(asked, facts)}")


def understood(
    facts: Sequence[Facts], word: str, head: str, options: Iterable[str] = ()
) -> filters.Filter:
    """Return what a filter means to runs: its key by our own name, its words as they have them.

    Raises UsageError for a key that none of them has.
    """
    asked = filters.parse(word)
    assert asked is not None  # `is_filter` said so
    if not any(one.values(asked.key) for one in facts):
        asked = filters.elsewhere(asked)
    found = [(one, one.values(asked.key)) for one in facts]
    if not any(values for _, values in found):
        known = dict.fromkeys(k for one in facts for k in one.keys)
        hint = suggestion(asked.key, [*options, *known])
        raise UsageError(f"{head}no run has '{asked.key}'{hint} (in '{word}')")
    if fitting(asked, found):
        return asked
    return filters.as_written(asked, [v for _, values in found for v in values])


def there_is(asked: filters.Filter, facts: Sequence[Facts]) -> str:
    """Return in a line what values the key of a filter has in runs."""
    found = [(one, one.values(asked.key)) for one in facts]
    values = dict.fromkeys(asked.shown(v[0], one.measure(asked.key)) for one, v in found if v)
    return f"{asked.key} is {brief(values)}"


def fitting(
    asked: filters.Filter, found: Sequence[tuple[Facts, list[Any]]]
) -> list[tuple[Facts, int]]:
    """Return the runs whose values are as a filter says, each with the place of its value."""
    places = [(one, asked.place(values, one.measure(asked.key))) for one, values in found]
    return [(one, place) for one, place in places if place is not None]


def lost(found: Sequence[tuple[Facts, list[Any]]], kept: Sequence[Facts], key: str) -> list[Facts]:
    """Return the runs left out though they may fit: their damaged record would have the option."""
    if not any(key in one.choices or ALSO.get(key) == "method" or key == "method" for one in kept):
        return []
    return [one for one, _ in found if one not in kept and one.record.get("state") in WRONG]

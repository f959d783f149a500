"""The commands of the command line, one file each, and what they read arguments with."""

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lottery.errors import UsageError
from lottery.terms.metric import Metric
from lottery.wording.spelling import suggestion

DIGITS = 19  # of a typed number; more are none of steps or bytes


def whole(text: str, least: int = 0) -> int | None:
    """Return a number typed with the digits 0 to 9; None for anything else, or one below `least`.

    What str.isdigit takes besides, like a superscript two, int refuses.
    """
    found = int(text) if text.isascii() and text.isdecimal() and len(text) < DIGITS else -1
    return found if found >= least else None


def whole_numbers(text: str, key: str, command: str) -> list[int]:
    """Return the numbers of a list with commas; raises UsageError where there are others."""
    words = [word.strip() for word in text.strip("[]").split(",") if word.strip()]
    found = [number for word in words if (number := whole(word)) is not None]
    if len(found) < len(words):
        raise UsageError(f"{command}: {key}={text} are no whole numbers; write {key}=3,7")
    return found


def one_level(words: Sequence[str], chosen: Mapping[str, str], command: str) -> int:
    """Return the level of a command on one, -1 for the last; raises UsageError without one."""
    level = chosen["level"]
    found = -1 if level in ("-1", "last") else whole(level)
    if not words or not level:
        run = example(words, chosen, command)
        raise UsageError(f"{command}: name one run and a level: {run} level={level or 'last'}")
    if found is None:
        raise UsageError(
            f"{command}: level={level} is no level; type a number, like level=3, or level=last"
        )
    return found


def example(words: Sequence[str], chosen: Mapping[str, str], command: str, count: int = 1) -> str:
    """Return a command on the runs that were named, else on the newest; raises UsageError."""
    from lottery.results.naming import newest
    from lottery.wording.text import outputs_word

    outputs = Path(chosen["outputs"])
    named = (
        list(map(shlex.quote, words)) if len(words) >= count else newest(outputs, command, count)
    )
    return f"lottery {command} {' '.join(named)}{outputs_word(outputs)}"


def one_of(chosen: Mapping[str, str], key: str, known: Sequence[str], command: str) -> str:
    """Return the value of an option that takes some words; raises UsageError, with the near one."""
    if chosen[key] not in known:
        hint = suggestion(chosen[key], known)
        raise UsageError(f"{command}: {key}={chosen[key]} is none of {', '.join(known)}{hint}")
    return chosen[key]


def yes(chosen: Mapping[str, str], key: str, command: str) -> bool:
    """Return the value of an option that is true or false; raises UsageError for another."""
    return one_of(chosen, key, ("true", "false"), command) == "true"


def share(chosen: Mapping[str, str], key: str, command: str) -> float:
    """Return the value of an option that is a share of 1; raises UsageError for another."""
    try:
        found = float(chosen[key])
    except ValueError:
        found = math.nan
    if not 0 <= found < 1:
        raise UsageError(
            f"{command}: {key}={chosen[key]} is no share of 1; half a hundredth is {key}=0.005"
        )
    return found


def tolerance(chosen: Mapping[str, str], metrics: Iterable[Metric], command: str) -> float | None:
    """Return the option of this name, in the terms of some metrics; None for their own.

    A share of 1, or any number from 0 on where all of them have units of their own.
    """
    typed = chosen["tolerance"]
    if not typed or any(m.percent or m.of != "unit" for m in metrics):
        return share(chosen, "tolerance", command) if typed else None
    try:
        found = float(typed)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise UsageError(f"{command}: tolerance={typed} is no number; type one, as in tolerance=1")
    return found


def options(
    arguments: list[str], usage: str | None, known: Mapping[str, str]
) -> tuple[list[str] | None, dict[str, str]]:
    """Return the plain words and the KEY=VALUE settings of a command.

    The words are None where help was asked for, and has been printed. Raises UsageError for a
    key or a flag that is not known, with the near one.
    """
    return parsed(arguments, usage, known, filters=False)


def selection(
    arguments: list[str], usage: str | None, known: Mapping[str, str]
) -> tuple[list[str] | None, dict[str, str]]:
    """Return what `options` does; filters (`filters.GRAMMAR`) by other keys stay among the words.

    The words are for `lottery.results.choice.choose`, which knows whether there is such a column or
    setting. A word that is the name of something under outputs= is one, also with "=" or after "-".
    """
    return parsed(arguments, usage, known, filters=True)


def parsed(
    arguments: list[str], usage: str | None, known: Mapping[str, str], filters: bool
) -> tuple[list[str] | None, dict[str, str]]:
    """Return words and settings; `filters` lets the names of runs and filters be words."""
    if "-h" in arguments or "--help" in arguments:
        print(usage or "")
        return None, dict(known)
    chosen, words = dict(known), []
    for word in arguments:
        key, equals, value = word.partition("=")
        if equals and key in known:
            chosen[key] = value
        else:
            words.append(word)
    for word in words:
        after = next((b for a, b in zip(words, words[1:]) if a == word and b[:1] != "-"), "")
        if filters and named(word, chosen.get("outputs", "outputs")):
            continue
        if word.startswith("-") or ("=" in word and not (filters and filtering(word, known))):
            from lottery.config.answers.looking import unknown
            from lottery.results.facts import ALSO, COLUMNS
            from lottery.results.filters import GRAMMAR

            filtered = ([*COLUMNS, *ALSO], GRAMMAR) if filters else ((), "")
            raise UsageError(unknown(word, after, known, *filtered))
    return settled(words, chosen, filters), chosen


def settled(words: Sequence[str], chosen: dict[str, str], filters: bool) -> list[str]:
    """Put into `chosen` what words say without KEY=, as csv says format=csv; return the others.

    A word that is a name of something on the disk is one.
    """
    from lottery.config.answers.looking import meant

    kept: list[str] = []
    for word in words:
        option = meant(word, chosen)
        if option == f"to={word}" and not filters and not kept:
            option = ""  # what is read stands first
        if option and not (filters and there(word, chosen.get("outputs", "outputs"))):
            key, _, chosen[key] = option.partition("=")
        else:
            kept.append(word)
    return kept


def there(word: str, outputs: str) -> bool:
    """Say whether a word names a run, or a file or folder."""
    from lottery.results.folders import matching

    return bool(matching(Path(outputs).expanduser(), word))


def named(word: str, outputs: str) -> bool:
    """Say whether a word is the name of something on the disk."""
    from lottery.results.choice import lies_there

    return ("=" in word or word.startswith("-")) and lies_there(word, Path(outputs).expanduser())


def filtering(word: str, known: Iterable[str]) -> bool:
    """Say whether a word may be a filter: one by a key that is no misspelt option."""
    from lottery.results.facts import ALSO, COLUMNS
    from lottery.results.filters import WORD
    from lottery.wording.spelling import alike

    match = WORD.fullmatch(word)
    if not match:
        return False
    return match[1] in COLUMNS or match[1] in ALSO or not alike(match[1], known)


def sets(word: str, kind: str) -> bool:
    """Say whether a word is NAME.SETTING=VALUE of an option of a kind, and no filter of runs."""
    from lottery.config import defaults

    name, dot, _ = word.partition("=")[0].partition(".")
    return bool(dot) and defaults.file_of(kind, name) is not None


def override(nodes: dict[str, dict[str, Any]], words: Iterable[str], command: str) -> None:
    """Set NAME.SETTING=VALUE in the settings of components that are asked for, in place."""
    for word in words:
        key, _, text = word.partition("=")
        name, _, setting = key.partition(".")
        if name not in nodes:
            raise UsageError(f"{command}: {key} is a setting of what is not asked for; add {name}")
        try:
            nodes[name][setting] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"{command}: the value of {key} cannot be read: {text}") from error


def as_made(folder: Path, command: str) -> dict[str, Any]:
    """Return the settings of a run that a command adds to, where they are those it was made with.

    Raises UsageError for a config.yaml that is another than the folder's.
    """
    from lottery.config.identity import run_id
    from lottery.storage.settings import read_settings

    settings = read_settings(folder)
    if run_id(settings) != folder.parent.name:
        raise UsageError(
            f"{command}: {folder}/config.yaml is not what this run was made with (edited, or of "
            "another version of lottery); its levels would be trained anew"
        )
    number = int(folder.name.removeprefix("replicate_"))
    own = {"replicate": number, "outputs": str(folder.parents[2])}
    return settings | own | {"branches": {}, "analyses": {}, "sanity": False}

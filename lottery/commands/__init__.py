"""The commands of the command line, one file each."""

import difflib
import re
from collections.abc import Iterable, Sequence

from lottery.errors import UsageError

DIGITS = 19  # of a typed number; more are none of steps or bytes
FILTER = re.compile(r"[A-Za-z_][\w./]*")  # a column, an option, or a setting with dots


def whole(text: str, least: int = 0) -> int | None:
    """Return a number typed with the digits 0 to 9; None for anything else, or one below `least`.

    What str.isdigit takes besides, like a superscript two, int refuses.
    """
    found = int(text) if text.isascii() and text.isdecimal() and len(text) < DIGITS else -1
    return found if found >= least else None


def one_level(words: Sequence[str], level: str, command: str) -> int:
    """Return the level of a command on one; raises UsageError where it or the run is missing."""
    found = whole(level)
    if not words or not level:
        raise UsageError(f"{command}: name one run and a level: lottery {command} RUN level=3")
    if found is None:
        raise UsageError(f"{command}: level={level} is no level; type a number, like level=3")
    return found


def options(
    arguments: list[str], usage: str | None, known: dict[str, str]
) -> tuple[list[str] | None, dict[str, str]]:
    """Return the plain words and the KEY=VALUE settings of a command.

    The words are None where help was asked for, and has been printed. Raises UsageError for a
    key or a flag that is not known.
    """
    return parsed(arguments, usage, known, filters=False)


def selection(
    arguments: list[str], usage: str | None, known: dict[str, str]
) -> tuple[list[str] | None, dict[str, str]]:
    """Return what `options` does; KEY=VALUE of another key stays among the words, as a filter.

    The words are for `lottery.looking.choice.choose`, which knows whether there is such a column or
    setting.
    """
    return parsed(arguments, usage, known, filters=True)


def parsed(
    arguments: list[str], usage: str | None, known: dict[str, str], filters: bool
) -> tuple[list[str] | None, dict[str, str]]:
    """Return words and settings; `filters` lets other KEY=VALUE be words."""
    words: list[str] = []
    chosen = dict(known)
    for word in arguments:
        key, equals, value = word.partition("=")
        if word in ("-h", "--help"):
            print(usage or "")
            return None, chosen
        if equals and key in known:
            chosen[key] = value
        elif (equals and not (filters and filtering(key, known))) or word.startswith("-"):
            raise UsageError(
                f"there is no option '{word}' here (there are: "
                f"{', '.join(f'{k}=' for k in known)}, --help)"
            )
        else:
            words.append(word)
    return words, chosen


def filtering(key: str, known: Iterable[str]) -> bool:
    """Say whether a key may be that of a filter: none that is a misspelt option."""
    from lottery.looking.facts import ALSO, COLUMNS

    if key in COLUMNS or key in ALSO:
        return True
    return bool(FILTER.fullmatch(key)) and not difflib.get_close_matches(key, known, cutoff=0.8)

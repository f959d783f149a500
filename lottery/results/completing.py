"""Complete the words of commands that read runs. Imports neither torch nor pandas."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lottery.results.facts import ALSO, COLUMNS, Facts
from lottery.results.filters import Filter
from lottery.results.folders import run_folders

LISTS = ("sort", "columns")  # options whose values are columns
PLAIN = re.compile(r"[\w./:+%@=,-]+")  # what the shell leaves as it is


def complete(options: Iterable[str], start: str, words: Sequence[str]) -> list[str]:
    """Return what a word that begins with `start` can become: options, filters, names, ids.

    The runs are those under the outputs= among `words`. After "=" stand the values that they have,
    or columns, each after those typed with commas before.
    """
    said = [word.partition("=")[2] for word in words if word.startswith("outputs=")]
    folders = run_folders(Path([*said, "outputs"][0] or ".").expanduser())
    key, equals, typed = start.partition("=")
    if equals:
        before = typed[: typed.rfind(",") + 1]
        found = [f"{key}={before}{value}" for value in values(key, options, folders)]
    else:
        first = [Facts(folders[0])] if folders else []
        keys = [*options, *(k for run in first for k in (*ALSO, *run.columns, *run.choices))]
        found = [f"{key}=" for key in keys]
        found += [name for f in folders for name in (f.parent.parent.name, f.parent.name)]
    return [w for w in dict.fromkeys(found) if w.startswith(start) and PLAIN.fullmatch(w)]


def values(key: str, options: Iterable[str], folders: Sequence[Path]) -> list[str]:
    """Return what can stand after KEY=: columns, or the values that the runs have."""
    if key in LISTS:
        return [*ALSO, *(Facts(folders[0]).columns if folders else COLUMNS)]
    if key in options:
        return []
    asked = Filter(key, key, "=", ())
    found = [
        asked.shown(v, one.measure(key)) for one in map(Facts, folders) for v in one.values(key)
    ]
    return list(dict.fromkeys(found))

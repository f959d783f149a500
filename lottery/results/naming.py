"""Say in a line which runs there are, where a word names none or too many."""

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from lottery.errors import UsageError
from lottery.results.folders import configs, matching, run_folders
from lottery.wording.spelling import nearest, suggestion
from lottery.wording.text import outputs_word, printable

LISTED = 8  # near ones in an error


def unknown(outputs: Path, word: str) -> str:
    """Return the line for a word that names nothing, with the near ones."""
    folders = run_folders(outputs)
    if not folders:
        return f"'{word}' names no run; {none_there(outputs)}"
    head, _, replicate = word.rstrip("/").partition("/replicate_")
    if replicate and (siblings := matching(outputs, head)):
        return f"'{word}' names no run; there are: {listed(siblings)}"
    by_word: dict[str, list[Path]] = {}
    for folder in folders:
        ident, name = folder.parent.name, folder.parent.parent.name
        for key in (ident, name, f"{name}/{ident}", *name.split("_")):
            by_word.setdefault(key, []).append(folder)
    near = list(dict.fromkeys(f for key in nearest(head, by_word) for f in by_word[key]))
    return (
        f"'{word}' names no run; {'near ones' if near else 'there are'}: {listed(near or folders)}"
    )


def newest(outputs: Path, command: str, count: int = 1) -> list[str]:
    """Return the runs that began last, as they can be typed, for an example in `command`'s error.

    Raises UsageError where there are fewer: no command on them can be typed then.
    """
    folders = run_folders(outputs.expanduser())
    if len(folders) < count:
        few = f"there is one run under {printable(outputs)}" if folders else none_there(outputs)
        raise UsageError(f"{command}: {few}{'; start another: lottery run' if folders else ''}")
    last = sorted(folders, key=lambda folder: os.stat(folder / "run.json").st_mtime)[-count:]
    return [word_for(folder, folders) for folder in last]


def word_for(folder: Path, folders: Sequence[Path]) -> str:
    """Return the shortest word that names one run among several: ID, NAME/ID, .../replicate_K."""
    name, ident = folder.parent.parent.name, folder.parent.name
    same = [f for f in folders if f.parent.name == ident]
    whole = ident if all(f.parent == folder.parent for f in same) else f"{name}/{ident}"
    alone = sum(f.parent == folder.parent for f in folders) == 1
    return shlex.quote(whole if alone else f"{whole}/{folder.name}")


def none_there(outputs: Path) -> str:
    """Return the line for outputs without any run, or that are no folder."""
    outputs = outputs.expanduser()
    if missing(outputs):
        hint = suggestion(outputs.name, folders_in(outputs.parent))
        return f"there is no folder {printable(outputs)}{printable(hint)}"
    start = f"lottery run{outputs_word(outputs)}"
    return f"there are no runs under {printable(outputs)}; start one: {start}"


def missing(outputs: Path) -> bool:
    """Say whether outputs was named and is no folder."""
    return bool(outputs_word(outputs)) and not os.path.isdir(outputs)


def folders_in(place: Path) -> list[str]:
    """Return the names of the folders in a folder; none where it cannot be read."""
    try:
        return [entry.name for entry in place.iterdir() if os.path.isdir(entry)]
    except OSError:
        return []


def listed(folders: Sequence[Path]) -> str:
    """Return runs in one line, as they can be typed; many as one a config."""
    groups = list(configs(folders))
    bases = {base for base, _ in groups}
    twice = {base for base in bases if sum(base.name == other.name for other in bases) > 1}

    def typed(base: Path) -> str:
        return f"{printable(base.parent.name)}/{base.name}" if base in twice else base.name

    if len(folders) <= LISTED or len(groups) == 1:
        names = [f"{typed(f.parent)}/{f.name} ({printable(f.parent.parent.name)})" for f in folders]
    else:
        names = [f"{typed(base)} ({printable(base.parent.name)})" for base, _ in groups]
    more = [f"and {len(names) - LISTED} more (lottery ls)"] if len(names) > LISTED else []
    return "; ".join([*names[:LISTED], *more])


def brief(words: Iterable[str]) -> str:
    """Return words in one line, not too many."""
    some = list(words)
    more = [f"{len(some) - LISTED} more"] if len(some) > LISTED else []
    return ", ".join([*map(printable, some[:LISTED]), *more])

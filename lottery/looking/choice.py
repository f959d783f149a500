"""Find the runs that words name: a path, an id, a name, or filters such as prune=imp,random."""

import difflib
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from lottery.errors import DiskError, UsageError
from lottery.looking.facts import ALSO, Facts
from lottery.wording import printable

REPLICATE = re.compile(r"replicate_[0-9]+")
LISTED = 8  # near ones in an error


def run_folders(outputs: Path) -> list[Path]:
    """Return every replicate folder under `outputs`, by name; none without such a folder."""
    try:
        names = [p for p in outputs.iterdir() if p.name != "store" and p.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DiskError(f"cannot read {outputs}: {error.strerror}") from error
    found = (p.parent for name in names for p in name.glob("*/replicate_*/run.json"))
    return sorted((f for f in found if REPLICATE.fullmatch(f.name)), key=natural)


def natural(folder: Path) -> tuple[str, str, int]:
    """Return the order of replicate folders: 10 comes after 9."""
    number = int(folder.name.removeprefix("replicate_"))
    return folder.parent.parent.name, folder.parent.name, number


def choose(outputs: Path, words: Sequence[str], asked_by: str = "") -> tuple[Path, ...]:
    """Return the replicate folders that the words name, each once, in the order of the words.

    A word without "=" names runs: a path, the start of an id, a name, name/id, any of them with
    /replicate_K; several unite, and none stands for all. KEY=VALUE[,VALUE...] keeps the runs where
    a column of `lottery ls`, an option (train/lr=cosine) or a setting (train.batch_size=64) has one
    of the values. Raises UsageError, with the near ones, for a word that names nothing and for
    filters that leave nothing.
    """
    head, outputs = f"{asked_by}: " if asked_by else "", outputs.expanduser()
    named = [w for w in words if not is_filter(w)]
    found: dict[Path, None] = {}
    for word in named:
        some = matching(outputs, word)
        if not some:
            raise UsageError(head + unknown(outputs, word))
        found |= dict.fromkeys(some)
    kept = list(found) if named else [f.absolute() for f in run_folders(outputs)]
    facts = [Facts(folder) for folder in kept]
    for word in words:
        if is_filter(word) and facts:
            facts = narrowed(facts, word, head)
    return tuple(one.folder for one in facts)


def one(outputs: Path, words: str | Sequence[str], asked_by: str = "show") -> Path:
    """Return the one replicate folder that a word, or several with filters, name.

    Raises UsageError, with the near ones, unless there is exactly one.
    """
    words = [words] if isinstance(words, str) else words
    found = choose(outputs, words, asked_by)
    if len(found) == 1:
        return found[0]
    word = printable(" ".join(words))
    if not found:
        raise UsageError(f"{asked_by}: {none_there(outputs)}")
    raise UsageError(f"{asked_by}: '{word}' names several runs; there are: {listed(found)}")


def replicates(outputs: Path, word: str, asked_by: str) -> list[Path]:
    """Return the replicate folders of the one config that `word` names.

    Raises UsageError where it names none, or several configs.
    """
    found = list(choose(outputs, [word], asked_by))
    if len({f.parent for f in found}) == 1:
        return found
    if not found:
        raise UsageError(f"{asked_by}: {none_there(outputs)}")
    raise UsageError(f"{asked_by}: '{word}' names several runs; there are: {listed(found)}")


def is_filter(word: str) -> bool:
    """Say whether a word narrows (KEY=VALUE); what lies on the disk is a path, "=" or not."""
    return "=" in word and not Path(word).exists()


def matching(outputs: Path, word: str) -> list[Path]:
    """Return the replicate folders that `word` names: by a name, an id's start, a name's part.

    The first of the three that names any counts, as a name may look like the start of an id.
    """
    if (Path(word) / "run.json").exists():
        place = Path(os.path.abspath(word))
        if not REPLICATE.fullmatch(place.name) or len(place.parents) < 4:
            raise UsageError(
                f"{word} holds a run, but does not lie in outputs/NAME/ID/replicate_K; move it "
                "back, with the store beside NAME"
            )
        return [place]
    if word and Path(word).is_dir() and (inside := runs_in(Path(os.path.abspath(word)))):
        return inside
    head, _, replicate = word.rstrip("/").partition("/replicate_")
    folders = [
        f.absolute()
        for f in run_folders(outputs)
        if head and (not replicate or f.name == f"replicate_{replicate}")
    ]

    def exactly(ident: str, name: str) -> bool:
        return head in (name, ident, f"{name}/{ident}")

    def begins(ident: str, name: str) -> bool:
        return ident.startswith(head)

    def roughly(ident: str, name: str) -> bool:
        return fnmatchcase(name, head) if "*" in head else head in name

    for fits in (exactly, begins, roughly):
        if found := [f for f in folders if fits(f.parent.name, f.parent.parent.name)]:
            return found
    return []


def runs_in(place: Path) -> list[Path]:
    """Return the replicate folders of a folder NAME/ID, or of a folder NAME."""
    for pattern in ("replicate_*/run.json", "*/replicate_*/run.json"):
        found = [p.parent for p in place.glob(pattern) if REPLICATE.fullmatch(p.parent.name)]
        if found:
            return sorted(found, key=natural)
    return []


def narrowed(facts: Sequence[Facts], word: str, head: str) -> list[Facts]:
    """Return the runs that a filter leaves; raises UsageError for none, with what there is."""
    key, _, text = word.partition("=")
    found = [(one, one.values(key)) for one in facts]
    if not any(values for _, values in found):
        known = sorted({k for one in facts for k in one.keys})
        raise UsageError(f"{head}no run has '{key}'{suggestion(key, known)} (in '{word}')")
    asked = alternatives(text)
    kept = [one for one, values in found if any(same(v, t) for v in values for t in asked)]
    if kept:
        for one in lost(found, kept, key):
            warnings.warn(
                f"{printable(one.folder / 'run.json')} is damaged, so that nobody can tell whether "
                f"{printable(word)} fits; it is left out",
                stacklevel=2,
            )
        return kept
    there = dict.fromkeys(spelled(values[0]) for _, values in found if values)
    raise UsageError(f"{head}no run with {word}; {key} is {brief(there)}")


def lost(found: Sequence[tuple[Facts, list[Any]]], kept: Sequence[Facts], key: str) -> list[Facts]:
    """Return the runs left out though they may fit: their damaged record would have the option."""
    if not any(key in one.choices or ALSO.get(key) == "method" or key == "method" for one in kept):
        return []
    return [one for one, _ in found if one not in kept and one.record.get("state") == "damaged"]


def alternatives(text: str) -> list[str]:
    """Return the values of a filter; commas in brackets are part of one."""
    return re.findall(r"(?:\[[^\]]*\]|[^,\[])+", text) or [""]


def same(value: Any, text: str) -> bool:
    """Say whether a value is the one that was typed: by its words, with *, or as a number."""
    if fnmatchcase(spelled(value), text) if "*" in text else spelled(value) == text:
        return True
    try:
        typed = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return bool(type(typed) is bool) == bool(type(value) is bool) and bool(typed == value)


def spelled(value: Any) -> str:
    """Return a value as it is typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


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
    close = difflib.get_close_matches(head, by_word, n=3, cutoff=0.6)
    near = list(dict.fromkeys(f for key in close for f in by_word[key]))
    return (
        f"'{word}' names no run; {'near ones' if near else 'there are'}: {listed(near or folders)}"
    )


def none_there(outputs: Path) -> str:
    """Return the line for outputs without any run."""
    return f"there are no runs under {outputs}; start one: lottery run"


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


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" where one of `known` is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def brief(words: Iterable[str]) -> str:
    """Return words in one line, not too many."""
    some = list(words)
    more = [f"{len(some) - LISTED} more"] if len(some) > LISTED else []
    return ", ".join([*map(printable, some[:LISTED]), *more])


def configs(folders: Sequence[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield the folder of each config with its replicates among `folders`, in their order."""
    groups: dict[Path, list[Path]] = {}
    for folder in folders:
        groups.setdefault(folder.parent, []).append(folder)
    yield from groups.items()

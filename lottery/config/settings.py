"""Say which settings and options a command line chooses among. Imports neither torch nor hydra."""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lottery.config import defaults
from lottery.config.compose import is_sweep
from lottery.config.identity import OF_SWEEP, flat
from lottery.storage.yamls import parse
from lottery.wording.spelling import plain

OPEN = ("branches", "analyses", "loggers")  # settings by name, which come from groups


@dataclass(frozen=True)
class Known:
    """The groups, their options, and the settings of those that are chosen."""

    places: tuple[Path, ...]  # of yaml files: ours, of --config-dir, of packages
    choices: Mapping[str, Sequence[str]]  # group -> what is chosen, several in a sweep
    words: tuple[str, ...]

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """Every group with its options."""
        found: dict[str, set[str]] = {}
        for place in self.places:
            for path in place.rglob("*.yaml"):
                if group := path.parent.relative_to(place).as_posix().lstrip("."):
                    found.setdefault(group, set()).add(path.stem)
        return {group: sorted(names) for group, names in found.items()}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Every setting of what is chosen, with dotted keys -> its default."""
        first = {group: names[0] for group, names in self.choices.items() if names}
        found = flat(defaults.composed(first, self.places))
        for group, names in self.choices.items():
            for name in names[1:] if group not in defaults.LISTS.values() else ():
                node = defaults.option(group, name, self.places) or {}
                found = flat({group.replace("/", "."): node}) | found
        for key, group in defaults.LISTS.items():
            for name in self.choices.get(group, ()):
                found |= flat({key: {name: defaults.option(group, name, self.places) or {}}})
        return found

    @cached_property
    def nodes(self) -> set[str]:
        """Every key above a setting: train.optimizer."""
        return {
            ".".join(parts[:n])
            for parts in (key.split(".") for key in self.settings)
            for n in range(1, len(parts))
        }

    @property
    def parts(self) -> set[str]:
        """Every word between the dots of a setting, but the last."""
        return {part for key in self.nodes for part in key.split(".")}

    def group(self, word: str) -> str | None:
        """Return the group that a word is, case, - and _ aside; figures are no part of a run."""
        known = {tuple(map(plain, g.split("/"))): g for g in self.groups if g != "figure"}
        return known.get(tuple(map(plain, word.split("/"))))

    def setting(self, word: str) -> str | None:
        """Return the setting, or the key above some, that a word is, case, - and _ aside."""
        if word in self.settings or word in self.nodes:
            return word
        wanted = [plain(part) for part in word.split(".")]
        found = [k for k in self.settings if [plain(part) for part in k.split(".")] == wanted]
        if found:
            return found[0]
        above = word.rpartition(".")[0]
        while above:  # below a setting that is open: rates of layers
            if self.settings.get(above) == {}:
                return word
            above = above.rpartition(".")[0]
        return None

    def ending(self, word: str) -> list[str]:
        """Return the settings that end with a word, of whose parts none is out of order.

        A short name of those that are of a sweep is one of them where there is a sweep, and else of
        none of them: workers=4 means the readers of a data set then.
        """
        wanted = [plain(part) for part in word.split(".")]
        found = [key for key in self.settings if ends(key, wanted)]
        of_sweep = [key for key in found if key in OF_SWEEP and len(wanted) == 1]
        if of_sweep and is_sweep(self.words):
            return of_sweep
        return [key for key in found if key not in of_sweep]

    def options(self, group: str) -> list[str]:
        """Return the options of a group."""
        return self.groups.get(group, [])

    def option(self, group: str, word: str) -> str | None:
        """Return the option that a word is, case, - and _ aside."""
        if word in self.options(group):
            return word
        return {plain(name): name for name in self.options(group)}.get(plain(word))

    def option_of_any(self, word: str, first: Sequence[str]) -> str | None:
        """Return GROUP=OPTION for a word that is an option, of the likeliest group."""
        for group in [*first, *(g for g in self.groups if g not in (*first, "figure"))]:
            if option := self.option(group, word):
                return f"{group}={option}"
        return None

    def elsewhere(self, word: str) -> dict[str, str]:
        """Return the options that have a setting which no chosen one has: GROUP=NAME -> setting."""
        wanted = [plain(part) for part in word.split(".")]
        found = {}
        for group, names in self.groups.items():
            if group in ("experiment", "figure", "train", *defaults.LISTS.values()):
                continue
            for name in names:
                for key in flat(defaults.option(group, name, self.places) or {}):
                    whole = f"{group.replace('/', '.')}.{key}"
                    if key != "name" and ends(whole, wanted):
                        found[f"{group}={name}"] = whole
        return found


def ends(key: str, wanted: Sequence[str]) -> bool:
    """Say whether a key ends with the last of some parts, and has the others before, in order."""
    parts = [plain(part) for part in key.split(".")]
    if parts[-1] != wanted[-1]:
        return False
    return in_order(wanted[:-1], parts[:-1])


def in_order(some: Sequence[str], all_: Iterable[str]) -> bool:
    """Say whether some words stand among others in the same order."""
    rest = iter(all_)
    return all(any(word == other for other in rest) for word in some)


def known(words: Sequence[str]) -> Known:
    """Return what the words of a run choose among."""
    places = (*defaults.places(words), *defaults.all_places()[1:])
    return Known(places, chosen(words, places), tuple(words))


def chosen(words: Iterable[str], places: Sequence[Path]) -> dict[str, list[str]]:
    """Return the options that the words choose, or that come unasked: group -> options."""
    typed: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if equals and re.fullmatch(r"[a-z_/]+", key) and value[:1] != "{":
            names = [name.strip() for name in value.strip("[]").split(",") if name.strip()]
            typed[key] = [n for n in names if defaults.OPTION.fullmatch(n)]
    found: dict[str, list[str]] = {}
    listed = brought(defaults.conf_dir() / "run.yaml")
    preset: dict[str, list[str]] = {}
    for name in typed.get("experiment", ()):
        preset |= brought(defaults.file_of("experiment", name, places))
        found["experiment"] = [name]
    for name in (listed | preset | typed).get("dataset", ())[:1]:  # may name a model of its own
        listed |= brought(defaults.file_of("dataset", name, places))
    listed |= preset | typed
    for group, names in listed.items():
        if group in ("branch", "log", "experiment"):
            found[group] = names
            continue
        real = listed.get("dataset", []) if names == ["${dataset}"] else names
        there = [n for n in real if defaults.file_of(group, n, places)]
        if not there:
            continue
        found[group] = there
        for part, brings in brought(defaults.file_of(group, there[0], places)).items():
            if brings and f"{group}/{part}" not in listed:
                found[f"{group}/{part}"] = brings
    return found


def usual_model(dataset: str) -> str:
    """Return the model taken for a data set of that name where none is typed; "" if unknown."""
    for path in options("dataset", dataset):
        return (brought(defaults.conf_dir() / "run.yaml") | brought(path))["model"][0]
    return ""


def usual_dataset(model: str) -> str:
    """Return a data set that takes a model of that name by default, and no file; "" for none."""
    found = []
    for path in sorted((defaults.conf_dir() / "dataset").glob("*.yaml")):
        own = brought(path).get("model", [])
        if own and not re.search(r"(?m)^path:", path.read_text()):
            found += [path.stem for each in options("model", model) if each.stem == own[0]]
    return min(found, key=len, default="")


def options(group: str, name: str) -> list[Path]:
    """Return the files of a group of ours whose component has that name."""
    named = re.compile(rf"(?m)^name: {re.escape(name)}$")
    files = sorted((defaults.conf_dir() / group).glob("*.yaml"))
    return [path for path in files if named.search(path.read_text())]


def brought(path: Path | None) -> dict[str, list[str]]:
    """Return the options of the defaults list of a yaml file: group -> options."""
    found: dict[str, list[str]] = {}
    read: Any = {}
    with contextlib.suppress(OSError, ValueError, yaml.YAMLError, RecursionError):
        read = parse(path.read_bytes()) if path else {}
    listed = read.get("defaults") if isinstance(read, dict) else None
    for each in listed if isinstance(listed, list) else ():
        for key, value in each.items() if isinstance(each, dict) else ():
            names = value if isinstance(value, list) else [value]
            group = str(key).removeprefix("override ").lstrip("/").partition("@")[0]
            found[group] = [str(name) for name in names if name]
    swept = read.get("hydra") if isinstance(read, dict) else None
    sweeper = swept.get("sweeper") if isinstance(swept, dict) else None
    params = sweeper.get("params") if isinstance(sweeper, dict) else None
    for key, value in params.items() if isinstance(params, dict) else ():
        names = str(value).split(",")
        if all(defaults.OPTION.fullmatch(name) for name in names):
            found[str(key)] = names
    return found

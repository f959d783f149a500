"""Say which settings of a run differ from the defaults of its options. Imports no hydra.

The defaults are read from conf/ as hydra composes them: the skeleton, run.yaml, the yaml file of
each option that run.json names, parts before the whole, an experiment last.
"""

import dataclasses
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lottery.config import packages
from lottery.config.identity import flat, normalised
from lottery.config.schema import Config
from lottery.storage.yamls import decoded, parse

OTHER = re.compile(r"\$\{oc\.select:([\w.]+),(\w+)\}")  # a setting, and what counts where it is not
PACKAGE = Path(__file__).parent.parent
ENVIRONMENT = re.compile(r'\$\{oc\.env:(\w+),"([^"]*)"\}')
NEEDED = ("model", "dataset", "train", "start", "prune", "schedule", "rewind")  # one of each group
FIRST = ("experiment", *NEEDED)  # in a line
OPTION = re.compile(r"\w[\w./-]{0,99}")
UNSAID = ("host=local", "start=init")  # in a line
# settings by name -> the group they come from
LISTS = {"branches": "branch", "analyses": "analysis", "loggers": "log"}
LAST = ("prune/at",)  # parts that stand behind what their whole says itself
ABSENT = "not set"
CONFIG_DIR = ("--config-dir", "-cd")  # names a folder of the user's own options


def conf_dir() -> Path:
    """Return the folder of yaml files: inside an installed package, beside it in a checkout."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def places(words: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the folders of yaml files, ours first, then those that --config-dir names."""
    found = [b for a, b in zip(words, words[1:], strict=False) if a in CONFIG_DIR]
    apart = [w.partition("=") for w in words]
    found += [value for flag, equals, value in apart if equals and flag in CONFIG_DIR]
    own = [Path(word).expanduser() for word in found]
    return conf_dir(), *(place for place in own if place.is_dir())


def changed(
    settings: Mapping[str, Any], choices: Mapping[str, str], places: Sequence[Path] = ()
) -> dict[str, tuple[Any, Any]]:
    """Return the settings that are not their default: dotted key -> (value, default).

    `places` are folders like conf/, ours first. `ABSENT` is the default of what no yaml file of
    theirs sets, as in an option of a folder that is not there any more.
    """
    defaults = composed(choices, places)
    for key, group in LISTS.items():
        names = settings.get(key)
        if isinstance(names, dict) and names:
            own = {name: option(group, str(name), places) for name in names}
            defaults[key] = {name: node or {} for name, node in own.items()}
    known = flat(defaults)
    whole = [key for key, value in known.items() if value == {}]  # open: rates of layers
    mine = flat(dict(settings), whole=whole)
    found = {key: (value, referred(known.get(key, ABSENT), mine)) for key, value in mine.items()}
    return {key: pair for key, pair in found.items() if not same(*pair)}


def referred(default: Any, settings: Mapping[str, Any]) -> Any:
    """Return a default that is what another setting is, if there is one, as settings say it."""
    match = OTHER.fullmatch(default) if isinstance(default, str) else None
    return settings.get(match[1], parse(match[2])) if match else default


def composed(choices: Mapping[str, str], places: Sequence[Path] = ()) -> dict[str, Any]:
    """Return the config of these options, nothing overridden; `places` are folders like conf/."""
    found: dict[str, Any] = dataclasses.asdict(Config())
    merge(found, contents(conf_dir() / "run.yaml"))
    for group in sorted(choices, key=lambda g: (g == "experiment", g in LAST, -g.count("/"))):
        node = option(group, choices[group], places)
        for part in reversed(group.split("/")) if group != "experiment" else ():
            node = {part: node}
        merge(found, node or {})
    return found


def option(group: str, name: str, places: Sequence[Path] = ()) -> dict[str, Any] | None:
    """Return what the yaml file of an option sets; None where conf/ has none of this name."""
    path = file_of(group, name, places)
    return contents(path) if path else None


def said_of(group: str, name: str) -> str:
    """Return what the comment at the top of an option's yaml says; "" where there is none."""
    path = file_of(group, name)
    lines = path.read_text(errors="replace").splitlines() if path else []
    said = itertools.takewhile(lambda line: line.startswith("# "), lines)
    return " ".join(line.removeprefix("# ") for line in said if not line.startswith("# @"))


def file_of(group: str, name: str, places: Sequence[Path] = ()) -> Path | None:
    """Return the yaml file of an option, of the first place that has it, packages coming last."""
    if any(not OPTION.fullmatch(word) or ".." in word for word in (group, name)):
        return None
    file = f"{group}/{name}.yaml"
    for place in places or (conf_dir(),):
        if (place / file).is_file():
            return place / file
    brought = packages.bringing(file)
    return brought[0].folder / file if brought else None


def all_places() -> list[Path]:
    """Return the folders of yaml files, the first before the others: ours, and of packages."""
    return [conf_dir(), *(package.folder for package in packages.packages())]


def groups() -> list[str]:
    """Return the groups of options that a run is composed of."""
    return sorted(path.name for path in conf_dir().iterdir() if path.is_dir())


def names_in(group: str) -> list[str]:
    """Return the names of the options of a group, those that packages bring included."""
    return sorted({path.stem for place in all_places() for path in (place / group).glob("*.yaml")})


def contents(path: Path) -> dict[str, Any]:
    """Return a yaml file of conf/ without what is said to hydra; the environment is filled in."""
    try:
        found = parse(decoded(path.read_bytes()))
    except (OSError, ValueError, yaml.YAMLError):  # one of the user's, named where it is composed
        found = None
    kept = found.items() if isinstance(found, dict) else ()
    return {str(k): filled(v) for k, v in kept if k not in ("defaults", "hydra")}


def filled(value: Any) -> Any:
    """Return a value with a variable of the environment in place."""
    match = ENVIRONMENT.fullmatch(value) if isinstance(value, str) else None
    return os.environ.get(match[1], match[2]) if match else value


def merge(into: dict[str, Any], node: Mapping[str, Any]) -> None:
    """Put the values of `node` over those of `into`, in place."""
    for key, value in node.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def same(value: Any, default: Any) -> bool:
    """Say whether a setting is its default; 1e-4, which plain YAML takes for text, is a number."""
    if isinstance(default, str) and isinstance(value, int | float) and type(value) is not bool:
        try:
            return float(default) == value
        except ValueError:
            return False
    kinds = (type(value) is bool) == (type(default) is bool)
    return kinds and bool(normalised(value) == normalised(default))


def options(choices: Mapping[str, str], places: Sequence[Path] = ()) -> list[str]:
    """Return the options as typed, without what the whole or run.yaml brings: prune=imp."""
    found = []
    for group in sorted(choices, key=lambda g: (FIRST.index(g) if g in FIRST else len(FIRST), g)):
        whole, _, part = group.rpartition("/")
        brought = usual(whole, choices.get(whole, ""), part, places) if whole else None
        if choices[group] != brought and f"{group}={choices[group]}" not in UNSAID:
            found.append(f"{group}={choices[group]}")
    return found


def usual(group: str, name: str, part: str, places: Sequence[Path] = ()) -> str | None:
    """Return the part that an option brings by itself: weight, for the structure of prune=imp."""
    return parts_of(group, name, places).get(f"{group}/{part}")


def parts_of(group: str, name: str, places: Sequence[Path] = ()) -> dict[str, str]:
    """Return the parts that an option brings by itself, as prune/structure: weight."""
    path = file_of(group, name, places)
    listed = parse(path.read_text()) if path else {}
    return {f"{group}/{k}": v for each in listed.get("defaults", ()) if isinstance(each, dict)
            for k, v in each.items() if v is not None}  # fmt: skip

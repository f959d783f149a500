"""Say in one line, with what to type, what hydra says in many."""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

import yaml
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lottery.config.build import conf_dir
from lottery.config.defaults import LISTS, all_places, names_in
from lottery.config.interpolation import cause_of
from lottery.config.schema import Config, Host, Prune, Train
from lottery.errors import UsageError
from lottery.wording.spelling import suggestion as near

KINDS = {  # omegaconf's words, and ours
    "converted to Integer": "no whole number",
    "converted to Float": "no number",
    "'list' to string": "several, and one is wanted",
    "'dict' to string": "several, and one is wanted",
    "is not a valid bool": "neither true nor false",
    "DictConfig with ListConfig": "a list, and KEY:VALUE in braces is wanted",
}


def raised_by_us(error: Exception) -> bool:
    """Say whether an error is none that words and files cause: of the machine, or a bug."""
    if isinstance(error, (OSError, MemoryError, ImportError)):
        return True
    trace, last = error.__traceback__, ""
    while trace is not None:
        last = str(trace.tb_frame.f_globals.get("__name__"))
        trace = trace.tb_next
    return last.partition(".")[0] == "lottery" and not isinstance(error, RecursionError)


def translated(error: Exception) -> Exception:
    """Return hydra's many-line errors as one line that says what to type; a bug as it is."""
    if ours := cause_of(error):  # of a file or a setting that was looked at in between
        return ours
    if isinstance(error, yaml.YAMLError):
        mark = getattr(error, "problem_mark", None)
        file = f"{mark.name}, line {mark.line + 1}" if mark else "a yaml file"
        return UsageError(f"{file}: this is no YAML ({getattr(error, 'problem', error)})")
    text = str(error)
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        if raised_by_us(error):
            return error
        said = (text.splitlines() or [""])[0]
        return UsageError(
            f"config: these words and files make no config ({type(error).__name__}: {said})"
        )
    cause = str(error.__cause__ or "").splitlines()
    if "Could not override ''" in text:
        return UsageError("config: a word without a key is no override; write KEY=VALUE")
    if match := re.search(r"Could not override '([^']+)'", text):
        return UsageError(unknown_key(match[1], cause))
    if match := re.search(r"Cannot find primary config '([^']+)'", text):
        return UsageError(
            f"--config-name: there is no {match[1]}.yaml; without it, run.yaml counts"
        )
    if match := re.search(r"Could not append to config. An item is already at '([^']+)'", text):
        return UsageError(f"config: {match[1]} is there; type it without the +: {match[1]}=VALUE")
    if match := re.search(r"Could not (?:find|load) '([^']+)'", text):
        return UsageError(unknown_option(match[1], text))
    if match := re.search(r"Key '([^']+)' (?:not in|is not in)", "\n".join([text, *cause])):
        place = re.match(r"In '([^']+)'", text)
        if place and match[1] == place[1].partition("/")[0] == "experiment":
            return UsageError(
                f"{place[1]}.yaml: it sets nothing of a run, since its first line is not: "
                "# @package _global_"
            )
        where = f"{place[1]}.yaml" if place else "config"
        return UsageError(f"{where}: there is no setting '{match[1]}'{near(match[1], settings())}")
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return UsageError(f"config: '{match[1]}' has several values; add -m to run them all")
    if match := re.search(r"Error parsing override '([^']+)'", text):
        return UsageError(f"config: '{match[1]}' is no override; write KEY=VALUE or GROUP=NAME")
    if match := re.search(r"Error merging override ([^\n]*)", text):
        said = "\n".join([text, *cause])
        if kind := next((words for name, words in KINDS.items() if name in said), ""):
            return UsageError(f"config: {match[1]}: the value is {kind}")
    if isinstance(error, OverrideParseException) and re.search("[\ud800-\udfff]", text):
        return UsageError(f"config: '{error.override}' holds bytes that are no UTF-8; type letters")
    if isinstance(error, OverrideParseException):
        return UsageError(
            f"config: '{error.override}' is no override that hydra can read; a list has a value on "
            "both sides of a comma, and text with spaces or signs has quotes of its own: "
            "name=\"'my run'\""
        )
    lines = [line.strip() for line in text.splitlines() + cause if line.strip()]
    return UsageError("config: " + "; ".join(dict.fromkeys(lines[:3])))


QUEUES = ("slurm", "kubernetes")  # whose settings `lottery submit` takes, and no run
SEEN = "what it has: the same words without that, and --cfg job --package"


def refuse_others(config: Mapping[str, Any], besides: Collection[str] = ()) -> None:
    """Raise UsageError unless a config has just the keys of the skeleton, and `besides`.

    Hydra's + and ++ add to a config that is closed, and ~ takes from it.
    """
    for part, kind in (("", Config), ("train", Train), ("prune", Prune), ("host", Host)):
        if part and OmegaConf.is_config(config) and OmegaConf.is_interpolation(config, part):
            continue  # looked at when it is filled in
        node = config[part] if part else config
        known = [f.name for f in dataclasses.fields(kind)]
        for key in node:
            if key not in known and key not in besides:
                raise UsageError(unknown_key(f"{part}.{key}".lstrip("."), []))
        for key in known:
            if key not in node:
                name = f"{part}.{key}".lstrip(".")
                raise UsageError(f"config: ~{name} takes away what a run needs; type {name}=VALUE")


def settings() -> list[str]:
    """Return the dotted names of the config's fixed keys, and the groups."""
    names = [f.name for f in dataclasses.fields(Config)]
    for group, kind in (("train", Train), ("prune", Prune), ("host", Host)):
        names += [f"{group}.{f.name}" for f in dataclasses.fields(kind)]
    return names + sorted(p.name for p in conf_dir().iterdir() if p.is_dir())


def unknown_key(key: str, cause: list[str]) -> str:
    """Return the line for a key on the command that the config does not have."""
    if cause and "not in" not in cause[0]:
        return f"config: {key}: {cause[0]}"
    if key == "figure":
        return "config: a run draws no figure; draw it afterwards: lottery plot figure=accuracy"
    if key.partition(".")[0] in QUEUES:
        return f"config: {key} is of a queue, which `lottery submit` hands runs to"
    parent, _, last = key.rpartition(".")
    inner = re.match(r"Key '([^']+)'", cause[0]) if cause else None
    if inner and inner[1] in key.split(".")[:-1]:
        return unknown_part(key, inner[1])
    if inner and inner[1] != last:
        others = keys_of(key)
        hint = near(inner[1], others) or f" ({SEEN} {key})"
        return f"config: {key} has no setting '{inner[1]}'{hint}"
    if parent and parent not in ("train", "prune", "host"):
        others = [name for name in keys_of(parent) if name != last]  # of the group's other options
        seen = f" ({SEEN} {parent})"
        return f"config: {parent} has no setting '{last}'{near(last, others) or seen}"
    hint = near(key, settings()) or " (all settings: lottery run --cfg job)"
    return f"config: there is no setting '{key}'{hint}"


def unknown_part(key: str, part: str) -> str:
    """Return the line for a key that goes through one that the config does not have."""
    before = key.split(".")[: key.split(".").index(part)]
    parent = ".".join(before)
    known = [name for name in settings() if name.split(".")[:-1] == before]
    known += [f"{parent}.{name}" for name in keys_of(parent)] if parent else []
    if parent in LISTS:  # what is in them was chosen by name
        names = names_in(LISTS[parent])
        if part in names:
            return f"config: {key}: type {LISTS[parent]}=[{part}], too"
        known += [f"{parent}.{name}" for name in names]
    if not parent:
        return f"config: there is no setting '{part}'{near(part, known)}"
    seen = f" ({SEEN} {parent})"
    return f"config: {parent} has no '{part}'{near(f'{parent}.{part}', known) or seen}"


def keys_of(group: str) -> list[str]:
    """Return every key that the yaml files of a group have."""
    found = {
        match
        for place in all_places()
        for path in (place / group.replace(".", "/")).glob("*.yaml")
        for match in re.findall(r"^(\w+):", path.read_text(), re.MULTILINE)
    }
    return sorted(found - {"name", "defaults"})


def unknown_option(missing: str, text: str) -> str:
    """Return the line for a file that a group does not have."""
    group, _, word = missing.rpartition("/")
    listed = re.search(r"Available options in [^\n]*\n((?:\t[^\n]+\n?)+)", text)
    options = [o.strip() for o in listed[1].split("\n\t")] if listed else []
    options = options or names_in(group)
    there = f" (there are: {', '.join(options)})" if options else ""
    how = "; a dataset that brings no recipe of its own takes one of these" * (group == "train")
    return f"{group or 'config'}: there is no '{word}'{near(word, options)}{there}{how}"

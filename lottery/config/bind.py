"""Find the function that a config names, and bind its settings: the second net for a typo."""

import dataclasses
import functools
import importlib
import inspect
import sys
import typing
import warnings
from collections.abc import Callable
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lottery.config import blame, packages
from lottery.config.source_hash import source_of
from lottery.errors import UsageError
from lottery.wording.spelling import suggestion

PLAIN = (bool, int, float)  # types whose values are what they are
PACKAGE = Path(__file__).parent.parent / "components"
FOLDERS = {
    "model": "models",
    "dataset": "datasets",
    "criterion": "criteria",
    "structure": "structures",
    "allocation": "allocations",
    "update": "updates",
    "moment": "moments",
    "schedule": "schedules",
    "rewind": "rewinds",
    "start": "starts",
    "branch": "branches",
    "optimizer": "optimizers",
    "lr": "lrs",
    "analysis": "analyses",
    "log": "loggers",
    "figure": "figures",
}


def components(kind: str) -> list[str]:
    """Return the names of a kind: the files of its folder, then installed entry points."""
    return own_components(kind) + sorted(e.name for e in packages.entries(f"lottery.{kind}"))


def own_components(kind: str) -> list[str]:
    """Return the names of a kind that the package brings."""
    files = (PACKAGE / FOLDERS[kind]).glob("*.py")
    return sorted(p.stem for p in files if p.stem != "__init__")


def find(kind: str, name: Any, where: str) -> Callable[..., Any]:
    """Return the function of a component; never anything that a config spells with dots.

    One that this package brings stands before one of the same name that an installed package does,
    with a warning: who installed that may think that it is used.
    """
    if name in own_components(kind):
        if package := namesakes(kind, tuple(sys.path)).get(str(name)):
            warnings.warn(
                f"{where}: '{name}' is lottery's own; that of the package {package} is not "
                "used, as it has the same name: give its entry point another",
                stacklevel=2,
            )
        return getattr(importlib.import_module(f"lottery.components.{FOLDERS[kind]}.{name}"), name)  # type: ignore[no-any-return]
    if brought := [e for e in packages.entries(f"lottery.{kind}") if e.name == name]:
        dists = [dist for e in brought if (dist := getattr(e, "dist", None))]
        if len(there := sorted({dist.name for dist in dists})) > 1:
            raise UsageError(
                f"{where}.name: {kind} '{name}' is brought by the packages {' and '.join(there)}; "
                f"uninstall one of them: pip uninstall {there[-1]}"
            )
        with blame.loading(brought[0], where):
            function = brought[0].load()
        if not callable(function):
            raise UsageError(f"{where}: {name} = {brought[0].value} is no function")
        return function  # type: ignore[no-any-return]
    known = components(kind)
    raise UsageError(
        f"{where}.name: there is no {kind} '{name}'{suggestion(str(name), known)} "
        f"(there are: {', '.join(known)})"
    )


@functools.cache
def namesakes(kind: str, path: tuple[str, ...]) -> dict[str, str]:
    """Return the components of a kind that are called as ones of ours -> the package of each.

    Looked for once on a path for modules, as all that is installed there is read.
    """
    own = own_components(kind)
    found = [e for e in packages.entries(f"lottery.{kind}") if e.name in own]
    return {e.name: getattr(getattr(e, "dist", None), "name", e.value) for e in found}


def code_of(kind: str, name: Any, where: str) -> str | None:
    """Return the hash of the source of a component; None for one that this package brings.

    It is "" where the source cannot be read.
    """
    if name in own_components(kind):
        return None
    entry = next((e for e in packages.entries(f"lottery.{kind}") if e.name == name), None)
    return source_of(find(kind, name, where), entry) if entry else None


def of_several(node: dict[str, Any]) -> bool:
    """Say whether an analysis is of the levels of several runs: its first parameter is `levels`."""
    function = find("analysis", node["name"], f"analyses.{node['name']}")
    return next(iter(inspect.signature(function).parameters), "") == "levels"


def settings_of(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keyword-only parameters of a component: name -> (type, default or MISSING).

    `**options: Unpack[SomeTypedDict]` counts as one parameter a key.
    """
    hints = typing.get_type_hints(function)
    found: dict[str, tuple[Any, Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            absent = parameter.default is parameter.empty
            wanted = hints.get(name, Any)  # one without a type takes what is given
            found[name] = (wanted, dataclasses.MISSING if absent else parameter.default)
        elif parameter.kind is parameter.VAR_KEYWORD and typing.get_args(hints.get(name)):
            (typed,) = typing.get_args(hints[name])
            for key, wanted in typing.get_type_hints(typed).items():
                optional = key in typed.__optional_keys__
                found[key] = (wanted, None if optional else dataclasses.MISSING)
    return found


def bind(kind: str, node: dict[str, Any], where: str) -> Callable[..., Any]:
    """Return the component that `node` names with its settings filled in and type-checked.

    Raises UsageError, in one line, for an unknown component, an unknown or missing setting and
    a value of the wrong type.
    """
    given = {key: value for key, value in node.items() if key != "name"}
    if "name" not in node:
        raise UsageError(f"{where}: says no name (there are: {', '.join(components(kind))})")
    function = find(kind, node["name"], where)
    known = settings_of(function)
    for key in given:
        if key not in known:
            hint = suggestion(key, known) or (f" (it has: {', '.join(known)})" if known else "")
            raise UsageError(f"{where}: {node['name']} has no setting '{key}'{hint}")
    for key, (_, default) in known.items():
        if key not in given and default is dataclasses.MISSING:
            raise UsageError(f"{where}: {node['name']} needs a value for '{key}'")
    values: dict[str, Any] = {}
    for key, value in given.items():
        wanted = known[key][0]
        if type(value) is wanted and wanted in PLAIN:  # a third of the time of a composed config
            values[key] = value
            continue
        try:
            values[key] = converted(key, value, wanted)
        except OmegaConfBaseException as error:
            name = getattr(wanted, "__name__", str(wanted))
            raise UsageError(f"{where}.{key}: {value!r} is no {name}") from error
    if node["name"] not in own_components(kind):
        function = blame.watched(kind, function, f"{kind} {node['name']}")
    return partial(function, **values)


def converted(key: str, value: Any, wanted: Any) -> Any:
    """Return the value of a setting as its type; raises OmegaConf's errors for another."""
    needed = field(default=dataclasses.MISSING)
    skeleton = dataclasses.make_dataclass("setting", [(key, wanted, needed)])
    merged = OmegaConf.merge(OmegaConf.structured(skeleton), {key: value})
    return OmegaConf.to_container(merged)[key]  # type: ignore[index,call-overload]

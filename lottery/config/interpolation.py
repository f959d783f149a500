"""Fill in what a config says with ${...}: other settings anywhere, the environment in places."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.base import Container
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import (
    MissingMandatoryValue,
    OmegaConfBaseException,
    UnsupportedInterpolationType,
)

from lottery.errors import LotteryError, UsageError
from lottery.storage.yamls import DEEPEST, LARGEST
from lottery.wording.text import first_line, without_password

PLACES = (  # and below
    "data", "outputs", "dataset.path", "model.path", "start.path", "rewind.path", "host",
)  # fmt: skip
RESOLVERS = (  # none else: a program may have some that run code
    "oc.create",
    "oc.decode",
    "oc.deprecated",
    "oc.dict.keys",
    "oc.dict.values",
    "oc.env",
    "oc.select",
    "hydra",
)
SECRET = re.compile(r"secret|token|passw|pwd|credential|(?:^|_)key(?:$|_|s)|auth", re.IGNORECASE)
COST = 2_000  # characters that a reference counts for
MOST = 10_000_000  # characters that one config, or one of its texts, may come to
ABSENT = object()


class Filling:
    """The setting that is being filled in, for the resolvers that depend on it."""

    def __init__(self, choices: Mapping[str, str]) -> None:
        self.choices = choices
        self.setting = ""  # "" while the files are put together
        self.environment = ""  # the last variable that was asked for
        self.told: set[str] = set()  # what variables hold
        self.within = self.spent = 0  # references in each other, and what they came to so far

    def bounded(self, resolve: Callable[..., Any]) -> Callable[..., Any]:
        """Return OmegaConf's way from ${...} to a node, which ends where texts multiply.

        It follows every reference anew: ten lines of ten each are ten thousand million.
        """

        def call(*given: Any, **settings: Any) -> Any:
            if not self.within and not self.setting:
                self.spent = 0  # of one config after the other, while they are put together
            self.within += 1
            try:
                found = resolve(*given, **settings)
            finally:
                self.within -= 1
            value = found._value() if isinstance(found, Node) else None
            self.spent += COST + len(value if isinstance(value, str) else "")
            if self.spent > MOST:
                raise UsageError(
                    f"{self.setting or 'config'}: what it refers to with ${{...}} grows without end"
                )
            return found

        return call

    def env(self, node: Node, name: str, default: Any = ABSENT) -> str | None:
        """Return a variable of the environment, for a setting that is a place.

        A word that only asks whether the setting is there gets something else.
        """
        self.environment = "a name" if name in self.told else name
        if not self.setting and is_place(node._get_full_key(None) or ""):
            return f"the environment's {name}"
        if not is_place(self.setting):
            places = f"{', '.join(PLACES[:-1])} and host.*"
            raise UsageError(
                f"{self.setting or 'config'}: ${{oc.env:{self.environment}}} is for places alone "
                f"({places}), so that no secret lands in a name or a file; type the value itself"
            )
        value = os.environ.get(name)
        if value is None and default is ABSENT:
            raise UsageError(
                f"{self.setting}: the environment has no {self.environment}; type "
                f"{self.setting}=VALUE, or export {self.environment}=VALUE first"
            )
        if value is None:
            return None if default is None else str(default)
        if SECRET.search(name) and not is_path(value):
            raise UsageError(
                f"{self.setting}: what the environment has as {name} is no path, and a secret by "
                f"its name; type {self.setting}=VALUE"
            )
        if without_password(value) != value:
            raise UsageError(
                f"{self.setting}: what the environment has as {name} is an address with a "
                f"password, which a run would keep; type {self.setting}=VALUE without it"
            )
        self.told.add(value)
        return value

    def hydra(self, path: str) -> Any:
        """Return the little of hydra's own config that a setting may refer to."""
        kind, _, group = path.rpartition(".")
        if kind == "runtime.choices" and group in self.choices:
            return self.choices[group]
        if path == "runtime.cwd":
            return str(Path.cwd())
        raise UsageError(
            f"{self.setting or 'config'}: ${{hydra:{path}}} is none of what lottery fills in "
            "(hydra:runtime.choices.GROUP, hydra:runtime.cwd)"
        )


def is_place(setting: str) -> bool:
    """Say whether a setting tells where something is, or what it runs on."""
    return any(setting == place or setting.startswith(f"{place}.") for place in PLACES)


def is_path(value: str) -> bool:
    """Say whether a text is plainly a path."""
    return value.startswith(("/", "~", "./", "../")) or os.path.lexists(value)


@contextlib.contextmanager
def own_resolvers(choices: Mapping[str, str]) -> Iterator[Filling]:
    """Let configs use RESOLVERS and no others, such as those of a caller's program, for a while."""
    kept, filling = BaseContainer._resolvers, Filling(choices)
    OmegaConf.clear_resolvers()
    BaseContainer._resolvers["oc.env"] = lambda *given: filling.env(given[2], *given[3])
    BaseContainer._resolvers["hydra"] = lambda *given: filling.hydra(*given[3])
    node, tree = (
        Container._resolve_node_interpolation,
        Container._resolve_interpolation_from_parse_tree,
    )
    Container._resolve_node_interpolation = filling.bounded(node)  # type: ignore[method-assign]
    Container._resolve_interpolation_from_parse_tree = filling.bounded(tree)  # type: ignore[method-assign]
    try:
        yield filling
    finally:
        BaseContainer._resolvers = kept
        Container._resolve_node_interpolation = node  # type: ignore[method-assign]
        Container._resolve_interpolation_from_parse_tree = tree  # type: ignore[method-assign]


def plain(config: Any, choices: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a composed config as plain dicts, everything filled in; raises UsageError.

    `choices` are the options that it was composed of.
    """
    with own_resolvers(choices or {}) as filling:
        found = Values(filling).of(config, "")
    assert isinstance(found, dict)
    return found


class Values:
    """A walk over a config that fills in one value after the other."""

    def __init__(self, filling: Filling) -> None:
        self.filling, self.number = filling, 0

    def of(self, node: Any, where: str, depth: int = 0) -> Any:
        """Return what a node holds."""
        self.number += 1
        if depth > DEEPEST or self.number > LARGEST:
            raise UsageError(f"config: {where} refers to what it is in, or is nested without end")
        if isinstance(node, DictConfig):
            join = f"{where}." if where else ""
            return {key: self.one(node, key, f"{join}{key!s}", depth) for key in node}
        if isinstance(node, ListConfig):
            return [self.one(node, place, where, depth) for place in range(len(node))]
        return node

    def one(self, node: DictConfig | ListConfig, key: Any, where: str, depth: int) -> Any:
        """Return what a node holds under a key, which is the setting `where`."""
        self.filling.setting, self.filling.environment = where, ""
        try:
            found = node[key]
        except MissingMandatoryValue:
            raise UsageError(f"config: no value for '{where}'; type {where}=VALUE") from None
        except (OmegaConfBaseException, RecursionError) as error:
            raise UsageError(self.complaint(error, where)) from None
        if isinstance(found, str) and "${" in found:
            raise UsageError(f"{where}: a value cannot hold ${{, which stands for another setting")
        return self.of(found, where, depth + 1)

    def complaint(self, error: Exception, where: str) -> str:
        """Return the line for what cannot be filled in, without what the environment holds."""
        if ours := cause_of(error):
            return str(ours)
        if self.filling.environment:
            return f"{where}: what the environment has as {self.filling.environment} does not fit"
        if isinstance(error, RecursionError):
            return f"{where}: it refers to itself"
        said = first_line(error)
        if isinstance(error, UnsupportedInterpolationType):
            return f"{where}: {said} (there are: {', '.join(RESOLVERS)})"
        return f"{where}: {said}"


def cause_of(error: BaseException | None) -> LotteryError | None:
    """Return the error of ours that one of OmegaConf's or hydra's was made from, if any."""
    while error is not None and not isinstance(error, LotteryError):
        error = error.__cause__ or error.__context__
    return error

"""Compose the config of a command line, or each of a sweep; show what hydra's flags ask for."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import Container, DictConfig, OmegaConf, flag_override

from lottery.config.complaints import refuse_others
from lottery.config.composed import Composed, default_name
from lottery.config.contents import with_content
from lottery.config.identity import OF_SWEEP
from lottery.config.interpolation import Values, own_resolvers, plain
from lottery.config.sources import TAKEN, loader, of_a_sweep, swept
from lottery.errors import UsageError
from lottery.wording.text import printable

MANY = 100_000  # jobs of a sweep


class Composer:
    """What hydra is asked for by one command line."""

    def __init__(self, asked: Namespace) -> None:
        self.asked, self.name = asked, asked.config_name or "run"
        self.loader = loader(asked.config_dir, asked.multirun)
        given = {"--config-dir": asked.config_dir, "--config-name": asked.config_name}
        self.flags = [word for flag, value in given.items() if value for word in (flag, value)]

    def compose(self, words: list[str], mode: RunMode = RunMode.RUN) -> DictConfig:
        """Return the config that overrides describe, hydra's own part with it."""
        config = self.loader.load_configuration(self.name, words, mode)
        refuse_others(config, ("hydra",))
        return config

    def jobs(self) -> Iterator[Composed]:
        """Compose the config, or every one of a sweep."""
        words = list(self.asked.overrides)
        if not self.asked.multirun:
            yield self.job(words, words, 0, 1)
            return
        values = self.combined(words)
        total = math.prod(map(len, values.values()))
        if not 0 < total <= MANY:
            raise UsageError(f"-m: these words make {total:,} jobs; a sweep has 1 to {MANY:,}")
        for number, each in enumerate(itertools.product(*values.values())):
            apart = [w for w, known in zip(each, values.values(), strict=True) if len(known) > 1]
            yield self.job(list(each), apart or each, number, total)

    def job(self, words: list[str], apart: Sequence[str], number: int, total: int) -> Composed:
        """Compose one job of a command; `apart` are the words that set it apart from others."""
        config = self.compose(words)
        choices = chosen(config)
        without_hydra(config)
        filled: dict[str, Any] | UsageError
        try:
            filled = plain(config, choices)
            refuse_others(filled)
            filled = with_moment(filled)
            filled = with_content(filled, default_name(choices))
        except UsageError as error:
            filled = error
        alone = (*self.flags, *words)
        return Composed(filled, choices, tuple(apart), alone, number, total)

    def combined(self, words: list[str]) -> dict[str, list[str]]:
        """Return the values of each word of a sweep, those of TAKEN among them.

        The last word on a key counts.
        """
        parser = OverridesParser.create(config_loader=self.loader)
        typed = parser.parse_overrides(words)
        config = self.compose([self.opening(word) for word in typed], RunMode.MULTIRUN)
        params = OmegaConf.select(config, TAKEN)
        with own_resolvers(chosen(config)) as filling:
            preset = {} if params is None else Values(filling).of(params, TAKEN)
        lines = [f"{k}={v}" for k, v in swept(filter(of_a_sweep, typed), preset).items()]
        task = [str(word.input_line) for word in typed if not of_a_sweep(word)]
        each = parser.parse_overrides([*lines, *task])
        found = {word.get_key_element(): spread(word) for word in each}
        for key in OF_SWEEP:
            if len(found.get(key, ())) > 1:
                raise UsageError(f"{key}: the jobs of a sweep share one; give a single value")
        return found

    def opening(self, word: Override) -> str:
        """Return a word as it is typed; a plain setting as one that may be new.

        What all jobs share is composed without their swept options, and model.hidden may be a
        setting of just these; each job refuses what none of its options has.
        """
        line = str(word.input_line)
        plain = word.type is OverrideType.CHANGE and not word.is_sweep_override()
        group = of_a_sweep(word) or self.loader.repository.group_exists(word.key_or_group)
        return f"++{line}" if plain and not group and not word.package else line

    def show(self) -> bool:
        """Print what one of hydra's flags asks for, if any does; say so."""
        asked = self.asked
        if asked.cfg:
            print(self.shown(), end="")
        elif asked.info or asked.hydra_help or asked.shell_completion:
            hydra = Hydra("lottery", self.loader)
            GlobalHydra.instance().initialize(hydra)
            if asked.info:
                hydra.show_info(asked.info, self.name, asked.overrides)
            elif asked.hydra_help:
                asked.overrides = []  # of hydra's own config alone
                hydra.hydra_help(None, get_args_parser(), asked)
            else:
                complete(hydra, self.name, asked.overrides)
        else:
            return False
        return True

    def shown(self) -> str:
        """Return the config as YAML, or the part of it that --package names."""
        config, kind = self.compose(list(self.asked.overrides)), self.asked.cfg
        choices, package = chosen(config), self.asked.package
        if kind == "hydra":
            config = Hydra.get_sanitized_hydra_cfg(config)
        elif kind == "job":
            without_hydra(config)
            if self.asked.resolve:
                config = OmegaConf.create(plain(config, choices))
        if package in (None, "_global_"):
            return OmegaConf.to_yaml(config)
        with own_resolvers(choices) as filling:
            filling.setting = package
            found = OmegaConf.select(config, package, default=self)
        if found is self:
            raise UsageError(f"--package: there is nothing in the config at '{printable(package)}'")
        if not isinstance(found, Container):
            return f"{'null' if found is None else found}\n"
        return f"# @package {package}\n{OmegaConf.to_yaml(found)}"


def chosen(config: DictConfig) -> dict[str, str]:
    """Return the options that a config was composed of: model -> resnet20."""
    found = config.hydra.runtime.choices.items()
    return {str(k): v for k, v in found if isinstance(v, str) and "hydra" not in str(k)}


def with_moment(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings whose prune.at is a rule, or the step that is scored, as text: 0.5."""
    at = settings["prune"]["at"]
    if isinstance(at, list) or at is None:
        raise UsageError("prune.at: it is one step, or a rule; type prune.at=5ep, or prune.at=end")
    at = at if isinstance(at, dict) else str(at)
    return {**settings, "prune": {**settings["prune"], "at": at}}


def without_hydra(config: DictConfig) -> None:
    """Take hydra's own part out of a config."""
    with flag_override(config, ["struct", "readonly"], [False, False]):
        del config["hydra"]


def spread(word: Override) -> list[str]:
    """Return a word of a sweep once for each of its values."""
    key = word.get_key_element()
    if not word.is_sweep_override():
        deleted = word.is_delete() and "=" not in str(word.input_line)
        return [key if deleted else f"{key}={word.get_value_element_as_str()}"]
    if not word.is_discrete_sweep():
        raise UsageError(f"{word.input_line}: an interval has no end of values; type range(0,3)")
    values = itertools.islice(word.sweep_string_iterator(), MANY + 1)
    return [f"{key}={value}" for value in values]


def complete(hydra: Hydra, name: str, words: list[str]) -> None:
    """Answer a shell; a line that cannot be composed has no completions, and no complaint."""
    asking = any(word.startswith("query=") for word in words)
    quiet = contextlib.redirect_stderr(io.StringIO()) if asking else contextlib.nullcontext()
    argv, sys.argv = sys.argv, ["lottery"]  # what it writes a script for
    try:
        with quiet:
            hydra.shell_completion(name, words)
    except (Exception, SystemExit):
        if not asking:
            raise
    finally:
        sys.argv = argv

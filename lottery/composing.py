"""Compose the config that a command line describes, or each of a sweep, and hand it to a job."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lottery.errors import LotteryError, UsageError

FLAGS = {  # hydra's, and whether a value follows
    "--hydra-help": False,
    "--version": False,
    "--cfg": True,
    "-c": True,
    "--resolve": False,
    "--package": True,
    "-p": True,
    "--run": False,
    "-r": False,
    "--shell-completion": False,
    "-sc": False,
    "--config-path": True,
    "-cp": True,
    "--config-name": True,
    "-cn": True,
    "--config-dir": True,
    "-cd": True,
    "--info": False,
    "-i": False,
}
MULTIRUN = ("-m", "--multirun")


@dataclass(frozen=True)
class Composed:
    """One config, and its place among those of the command."""

    config: Any  # as hydra composed it; `settings` fills it in
    choices: dict[str, str]  # the options that it was composed of: model -> resnet20
    overrides: tuple[str, ...]  # those of this job; of a sweep's, what sets it apart
    number: int  # counts from 0
    total: int | None  # jobs of the command; None where its sweeper does not tell

    @property
    def settings(self) -> dict[str, Any]:
        """Return the config as plain dicts, everything filled in; raises UsageError."""
        from lottery.config import plain

        return plain(self.config)

    @property
    def name(self) -> str:
        """The folder name of a run that gives none: its choices in words."""
        return default_name(self.choices)


def compose_each(arguments: Sequence[str], job: Callable[[Composed], None]) -> int:
    """Call `job` with the config that overrides describe; with -m with each of a sweep, in turn.

    Returns 0, or the exit code of one of hydra's own flags (--cfg, --info), which call no job. What
    a job raises ends a sweep, and is raised; what cannot be composed is a UsageError.
    """
    import hydra
    from hydra.core.config_store import ConfigStore

    from lottery.config import conf_dir
    from lottery.skeleton import Config

    sweep = is_sweep(arguments)
    rest = [a for a in arguments if a not in MULTIRUN]
    raised: list[Exception] = []

    def call(config: Any) -> None:  # what it raises, hydra would print in many lines
        if not raised:
            try:
                job(composed(config, rest if sweep else None))
            except Exception as error:  # noqa: BLE001 (raised again below)
                raised.append(error)

    with contextlib.ExitStack() as stack:
        flags = ["-m"] if sweep else []
        if sweep and not any(a.startswith("hydra.sweep.dir=") for a in rest):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lottery-sweep-"))
            flags.append(f"hydra.sweep.dir={folder}")
        stack.enter_context(hydra_kept())
        stack.callback(setattr, sys, "argv", sys.argv)
        stack.enter_context(environment("HYDRA_FULL_ERROR", "1"))  # errors come through to us
        sys.argv = ["lottery", *flags[:1], *order(rest), *flags[1:]]
        ConfigStore.instance().store(name="skeleton", node=Config)
        entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="run")
        try:
            entry(call)()
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else 2
        except LotteryError:
            raise
        except Exception as error:
            from lottery.complaints import translated

            raise translated(error) from error
    if raised:
        raise raised[0]
    return 0


def is_sweep(arguments: Sequence[str]) -> bool:
    """Say whether the arguments ask for every combination of comma-separated values."""
    return any(a in MULTIRUN for a in arguments)


@contextlib.contextmanager
def hydra_kept() -> Iterator[None]:
    """Give hydra's state back at the end, to a caller who may use hydra, too."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.version import VersionBase

    version, stored = VersionBase.instance(), ConfigStore.instance().repo
    base, names = version.version_base, dict(stored)
    running, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = running
        HydraConfig.instance().cfg = config
        version.version_base = base
        ConfigStore.instance().repo = names


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def composed(config: Any, typed: Sequence[str] | None) -> Composed:
    """Return what hydra hands to a job; `typed` are the words of the whole sweep that it is of."""
    from hydra.core.hydra_config import HydraConfig

    info = HydraConfig.get()
    chosen = {k: str(v) for k, v in info.runtime.choices.items() if isinstance(v, str)}
    choices = {k: v for k, v in chosen.items() if "hydra" not in k}
    words = tuple(info.overrides.task)
    if typed is None:
        return Composed(config, choices, words, 0, 1)
    sizes = counted(typed, info)
    if sizes is None:
        return Composed(config, choices, words, int(info.job.num), None)
    own = tuple(w for w in words if sizes.get(w.partition("=")[0], 2) > 1) or words
    return Composed(config, choices, own, int(info.job.num), math.prod(sizes.values()))


def counted(typed: Sequence[str], info: Any) -> dict[str, int] | None:
    """Return how many values a sweep has of each key; None where the sweeper is none of hydra's.

    Hydra's own tells nobody. It takes every combination of the values, those of
    hydra.sweeper.params among them, where the last word on a key counts.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    if info.runtime.choices.get("hydra/sweeper") != "basic":
        return None
    words = [f"{k}={v}" for k, v in (info.sweeper.get("params") or {}).items()]
    words += [word for word in order(typed) if not word.startswith("-") and "=" in word]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return {
        each.get_key_element(): len(list(each.sweep_string_iterator()))
        if each.is_sweep_override()
        else 1
        for each in parser.parse_overrides(words)
    }


def default_name(choices: dict[str, str]) -> str:
    """Return the folder name of a run: its choices in words."""
    groups = ("experiment", "prune") if choices.get("experiment") else ("model", "dataset", "prune")
    return "_".join(choices[group] for group in groups).replace("/", "-")


def order(arguments: Sequence[str]) -> list[str]:
    """Move the flags before the overrides (hydra 1.3 refuses them after); refuse unknown ones."""
    flags: list[str] = []
    others: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        flag = word.partition("=")[0]
        if not word.startswith("-"):
            others.append(word)
        elif flag not in FLAGS:
            from lottery.components import near

            hint = near(flag, list(FLAGS))
            raise UsageError(f"run: there is no flag '{word}'{hint} (lottery run --help)")
        else:
            flags.append(word)
            optional = flag in ("--info", "-i", "-sc", "--shell-completion")
            if waiting and (
                (FLAGS[flag] and flag == word)
                or (optional and re.match(r"[a-z-]+$|install=|uninstall=|query=", waiting[0]))
            ):
                flags.append(waiting.pop(0))
    return flags + others

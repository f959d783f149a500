"""Compose the config that a command line describes, or each of a sweep, and hand it to a job."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import NoReturn

from lottery.config.composed import Composed
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
    "--config-path": True,  # refused
    "-cp": True,
    "--config-name": True,
    "-cn": True,
    "--config-dir": True,
    "-cd": True,
    "--info": False,
    "-i": False,
}
MULTIRUN = ("-m", "--multirun")


def compose_each(
    arguments: Sequence[str],
    job: Callable[[Composed], None],
    ahead: Callable[[Composed], object] = lambda first: None,
) -> int:
    """Call `job` with the config that overrides describe; with -m with each of a sweep, in turn.

    All are composed before the first is called; `ahead` is called with the first before the others
    are. Hydra's own flags (--cfg, --info) call none. Returns 0. What a job raises ends a sweep, and
    is raised; what cannot be composed is a UsageError.
    """
    from lottery.config import packages
    from lottery.config.interpolation import own_resolvers
    from lottery.config.sources import hydra_alone
    from lottery.config.sweeping import Composer

    packages.on_path.cache_clear()  # another command: something may have been installed since
    asked = flags(arguments)
    with hydra_alone(), own_resolvers({}):
        try:
            composer = Composer(asked)
            jobs: list[Composed] = []
            for found in () if composer.show() else composer.jobs():
                if not jobs:
                    ahead(found)
                jobs.append(found)
        except LotteryError:
            raise
        except Exception as error:  # noqa: BLE001 (hydra's and OmegaConf's, in words)
            from lottery.config.complaints import translated

            told = translated(error)
            if told is error:
                raise
            raise told from None
    for each in jobs:
        job(each)
    return 0


def is_sweep(arguments: Sequence[str]) -> bool:
    """Say whether the arguments ask for every combination of comma-separated values."""
    return any(a in MULTIRUN for a in arguments)


def flags(arguments: Sequence[str]) -> Namespace:
    """Return hydra's flags and the overrides, apart; raises UsageError."""
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        raise UsageError(f"run: {message} (lottery run --help)")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    found = parser.parse_args(order([a for a in arguments if a not in MULTIRUN]))
    found.multirun = is_sweep(arguments)
    shown = [found.cfg, found.info, found.hydra_help, found.shell_completion]
    if sum(map(bool, [*shown, found.multirun, found.run])) > 1:
        refuse("only one of -m, --run, --cfg, --info and --hydra-help can be asked for")
    if found.resolve and not found.cfg:
        refuse("--resolve goes with --cfg: --cfg job --resolve")
    if found.package and not found.cfg:
        refuse("--package goes with --cfg: --cfg job --package train")
    if found.config_path:
        refuse("--config-path would take conf/ away; your own yaml files come with --config-dir")
    return found


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
            from lottery.wording.spelling import suggestion

            hint = suggestion(flag, FLAGS)
            raise UsageError(f"run: there is no flag '{word}'{hint} (lottery run --help)")
        else:
            flags.append(word)
            if takes_value(word, waiting):
                flags.append(waiting.pop(0))
    return flags + others


def takes_value(word: str, after: Sequence[str]) -> bool:
    """Say whether a flag of hydra takes the first of the words behind it."""
    flag = word.partition("=")[0]
    optional = flag in ("--info", "-i", "-sc", "--shell-completion")
    return bool(after) and bool(
        (FLAGS.get(flag, False) and flag == word)
        or (optional and re.match(r"[a-z-]+$|install=|uninstall=|query=", after[0]))
    )

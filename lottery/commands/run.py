"""Train, prune and rewind, level by level; resumes what was begun.

Everything on the line but -m is hydra's own grammar.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from lottery.errors import LotteryError, UsageError

if TYPE_CHECKING:
    from lottery.experiment import Run

FAILURES: list[tuple[str, LotteryError]] = []
FINISHED: list[int] = []


def main(arguments: list[str]) -> int:
    """Compose the config, or each of a sweep, and run it; return the exit code."""
    import hydra
    from hydra.core.config_store import ConfigStore

    from lottery.config import Config, conf_dir

    FAILURES.clear()
    FINISHED.clear()
    sweep = any(a in ("-m", "--multirun") for a in arguments)
    rest = [a for a in arguments if a not in ("-m", "--multirun")]
    ConfigStore.instance().store(name="skeleton", node=Config)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through to us, who say them in one line
    entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="run")(job)
    before = sys.argv
    with tempfile.TemporaryDirectory(prefix="lottery-sweep-") as folder:
        flags = ["-m", f"hydra.sweep.dir={folder}"] if sweep else []
        if any(a.startswith("hydra.sweep.dir=") for a in rest):
            flags = flags[:1]
        sys.argv = ["lottery run", *flags[:1], *order(rest), *flags[1:]]
        try:
            entry()
        except LotteryError:
            raise
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else 2
        except Exception as error:
            raise translated(error) from error
        finally:
            sys.argv = before
    return closing() if sweep else 0


def order(arguments: list[str]) -> list[str]:
    """Move the flags before the overrides: hydra 1.3 refuses a flag after one."""
    flags: list[str] = []
    others: list[str] = []
    takes_value = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--cfg",
                   "-c", "--package", "-p", "--experimental-rerun")
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            others.append(word)
            continue
        flags.append(word)
        if word in takes_value and waiting:
            flags.append(waiting.pop(0))
        elif word in ("--info", "-i") and waiting and "=" not in waiting[0]:
            flags.append(waiting.pop(0))
    return flags + others


def translated(error: Exception) -> LotteryError:
    """Return hydra's many-line errors as one line that says what to type."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        raise error
    text = str(error)
    cause = str(error.__cause__ or "").splitlines()
    if match := re.search(r"Could not override '([^']+)'", text):
        return UsageError(unknown_key(match[1], cause))
    if match := re.search(r"Could not find '([^']+)'", text):
        return UsageError(unknown_option(match[1], text))
    if match := re.search(r"Key '([^']+)' (?:not in|is not in)", text + " ".join(cause)):
        return UsageError(f"config: {text.splitlines()[0]}{nearest(match[1], settings())}")
    lines = [line.strip() for line in text.splitlines() + cause if line.strip()]
    return UsageError("config: " + "; ".join(dict.fromkeys(lines[:3])))


def settings() -> list[str]:
    """Return the dotted names of the config's fixed keys, and the groups."""
    import dataclasses

    from lottery.config import Config, Host, Prune, Train, conf_dir

    names = [f.name for f in dataclasses.fields(Config)]
    for group, kind in (("train", Train), ("prune", Prune), ("host", Host)):
        names += [f"{group}.{f.name}" for f in dataclasses.fields(kind)]
    return names + sorted(p.name for p in conf_dir().iterdir() if p.is_dir())


def nearest(word: str, words: list[str]) -> str:
    from lottery.config import near

    return near(word, words)


def unknown_key(key: str, cause: list[str]) -> str:
    """Return the line for a key on the command that the config does not have."""
    if cause and "is not in struct" not in cause[0] and "not in" not in cause[0]:
        return f"config: {key}: {cause[0]}"
    group = key.split(".")[0]
    if key.count(".") and group in ("model", "dataset", "schedule", "rewind"):
        return f"config: {group} has no setting '{key.split('.', 1)[1]}'{choices(key)}"
    hint = nearest(key, settings()) or " (all settings: lottery run --cfg job)"
    return f"config: there is no setting '{key}'{hint}"


def choices(key: str) -> str:
    return f"; to see what it has: lottery run --cfg job --package {key.split('.')[0]}"


def unknown_option(missing: str, text: str) -> str:
    """Return the line for a file that a group does not have."""
    group, _, word = missing.rpartition("/")
    listed = re.search(r"Available options in [^\n]*\n((?:\t[^\n]+\n?)+)", text)
    options = [o.strip() for o in listed[1].split("\n\t")] if listed else []
    options = [o for o in options if o and not o.startswith(("Config search", "provider"))]
    there = f" (there are: {', '.join(options)})" if options else ""
    return f"{group or 'config'}: there is no '{word}'{nearest(word, options)}{there}"


def job(config: Any) -> None:
    """Run one composed config; in a sweep a failure is kept for the end, so the others go on."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    info = HydraConfig.get()
    try:
        execute(config, dict(info.runtime.choices), list(info.overrides.task))
        FINISHED.append(1)
    except LotteryError as error:
        from lottery.errors import INTERRUPTED, REQUEUE, TERMINATED

        stopped = error.code in (INTERRUPTED, REQUEUE, TERMINATED)
        if info.mode != RunMode.MULTIRUN or stopped:
            raise
        FAILURES.append((" ".join(info.overrides.task), error))
        print(f"lottery: {error}", file=sys.stderr)


def closing() -> int:
    """Print what a sweep came to, every failure named; return its exit code."""
    total = len(FINISHED) + len(FAILURES)
    print(f"\nsweep: {len(FINISHED)} of {total} runs done")
    for overrides, error in FAILURES:
        print(f"  failed: {overrides}: {' '.join(str(error).split())}")
    return FAILURES[0][1].code if FAILURES else 0


def execute(config: Any, choices: dict[str, Any], overrides: list[str]) -> None:
    """Bind, check, lock and run one config."""
    from lottery import config as configs

    plain = configs.plain(config)
    parts = configs.parts(plain)
    from lottery import launch

    launch.launch(plain, parts, default_name(choices), overrides)


def default_name(choices: dict[str, Any]) -> str:
    """Return the folder name of a run: its choices in words."""
    return "_".join(str(choices[group]) for group in ("model", "dataset", "prune"))

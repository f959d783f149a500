"""Train, prune and rewind, level by level; resumes what was begun.

The line is hydra's own grammar, -m/--multirun anywhere on it. Help is ours: hydra's takes 1.5 s.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import tempfile
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lottery import signals
from lottery.errors import LockedError, LotteryError, Stopped, UsageError
from lottery.records import busy, locked

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


@dataclass
class Tally:
    """What the jobs of this command came to; hydra itself shows only the first error."""

    typed: str
    finished: int = 0
    failures: list[tuple[str, Exception]] = field(default_factory=list)
    stopped: Stopped | None = None


TALLY = Tally("")


HELP = """usage: lottery run [OVERRIDE...]

Choose one of each group with GROUP=NAME:

{groups}

Set any value of the config with KEY=VALUE (see them all: lottery run --cfg job).

  -m, --multirun     every combination of comma-separated values: prune=imp,random replicate=0,1
  --cfg job          print the whole config and stop; --resolve fills in what refers elsewhere,
                     --package GROUP prints a part
  --info             say where the config comes from
  --config-dir DIR   add your own yaml files, in folders named for the groups
  -v                 show tracebacks
  --hydra-help       the flags of hydra
"""


def main(arguments: list[str]) -> int:
    """Compose the config, or each of a sweep, and run it; return the exit code."""
    if "-h" in arguments or "--help" in arguments:
        print(HELP.format(groups=groups(arguments)), end="")
        return 0
    global TALLY
    signals.forget()
    TALLY = Tally(shlex.join(["lottery", "run", *arguments]))
    signals.install(TALLY.typed)  # before the seconds that the imports take
    import hydra
    from hydra.core.config_store import ConfigStore

    from lottery.config import conf_dir
    from lottery.skeleton import Config

    sweep = any(a in ("-m", "--multirun") for a in arguments)
    rest = [a for a in arguments if a not in ("-m", "--multirun")]
    ConfigStore.instance().store(name="skeleton", node=Config)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through to us, who say them in one line
    entry = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="run")(job)
    before = sys.argv
    with contextlib.ExitStack() as stack:
        flags = ["-m"] if sweep else []
        if sweep and not any(a.startswith("hydra.sweep.dir=") for a in rest):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lottery-sweep-"))
            flags.append(f"hydra.sweep.dir={folder}")
        sys.argv = ["lottery", *flags[:1], *order(rest), *flags[1:]]
        stack.callback(setattr, sys, "argv", before)
        try:
            entry()
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else 2
        except LotteryError:
            raise
        except Exception as error:
            from lottery.complaints import translated

            raise translated(error) from error
    return closing(sweep)


def groups(arguments: list[str]) -> str:
    """Return the groups and their options, those of --config-dir included, a line each."""
    from lottery.config import conf_dir

    flags = ("--config-dir", "-cd")
    own = [b for a, b in zip(arguments, arguments[1:], strict=False) if a in flags]
    own += [a.partition("=")[2] for a in arguments if a.startswith(("--config-dir=", "-cd="))]
    found: dict[str, set[str]] = {}
    for folder in [conf_dir(), *map(Path, own)]:
        for path in folder.rglob("*.yaml"):
            if path.parent != folder:
                found.setdefault(path.parent.relative_to(folder).as_posix(), set()).add(path.stem)
    return "\n".join(
        textwrap.fill(
            f"{name}: {', '.join(sorted(options))}",
            100,
            initial_indent="  ",
            subsequent_indent="      ",
        )
        for name, options in sorted(found.items())
    )


def order(arguments: list[str]) -> list[str]:
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


def job(config: Any) -> None:
    """Run one composed config; a failure is kept for the end, so a sweep goes on.

    Nothing is raised to hydra, which would print more than one line about it.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if TALLY.stopped:
        return
    info = HydraConfig.get()
    try:
        execute(config, dict(info.runtime.choices))
        TALLY.finished += 1
    except Stopped as error:
        TALLY.stopped = error
    except Exception as error:  # noqa: BLE001 (raised again by closing, or listed there)
        TALLY.failures.append((" ".join(info.overrides.task), error))
        if info.mode == RunMode.MULTIRUN:
            print(f"lottery: {one_line(error)}", file=sys.stderr)


def one_line(error: Exception) -> str:
    kind = "" if isinstance(error, LotteryError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())


def closing(sweep: bool) -> int:
    """Raise what stopped or failed a single run; sum up a sweep, every failure named."""
    if TALLY.stopped:
        raise TALLY.stopped
    if not sweep:
        for _, error in TALLY.failures:
            raise error
        return 0
    print(f"\nsweep: {TALLY.finished} of {TALLY.finished + len(TALLY.failures)} runs done")
    for overrides, error in TALLY.failures:
        print(f"  failed: {overrides}: {one_line(error)}")
    codes = [e.code if isinstance(e, LotteryError) else 1 for _, e in TALLY.failures]
    return codes[0] if codes else 0


def execute(config: Any, choices: dict[str, Any]) -> None:
    """Bind, check, lock and run one config."""
    from lottery import config as configs
    from lottery.identity import run_folder

    signals.leave_if_asked()
    settings = configs.plain(config)
    name = default_name(choices)
    folder = run_folder(settings, name)
    if locked(folder / ".lock"):  # before anything that takes long to import or to read
        raise LockedError(busy(folder))
    parts = configs.parts(settings)
    from lottery import launch

    signals.leave_if_asked()
    launch.launch(settings, parts, name, TALLY.typed, chosen(choices))


def chosen(choices: dict[str, Any]) -> dict[str, str]:
    """Return the options by which a config was composed, as typed: model -> resnet20."""
    return {k: str(v) for k, v in choices.items() if isinstance(v, str) and "hydra" not in k}


def default_name(choices: dict[str, Any]) -> str:
    """Return the folder name of a run: its choices in words."""
    groups = ("experiment", "prune") if choices.get("experiment") else ("model", "dataset", "prune")
    return "_".join(str(choices[group]) for group in groups).replace("/", "-")

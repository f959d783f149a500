"""Train, prune and rewind, level by level; resumes what was begun.

The line is hydra's own grammar, -m/--multirun anywhere on it. Help is ours: hydra's takes 1.5 s.
"""

from __future__ import annotations

import os
import shlex
import textwrap
from pathlib import Path

from lottery.config.answers import meant, telling
from lottery.config.compose import compose_each, is_sweep
from lottery.experiment.jobs import Jobs
from lottery.machine import signals
from lottery.machine.parents import COMMAND, follow_parent

HELP = """usage: lottery run [OVERRIDE...]

  lottery run model=resnet20 dataset=digits prune=imp levels=3
  lottery run -m prune=imp,snip replicate=0,1,2     every combination

What everybody needs:

  model=NAME                 the net                 dataset=NAME         what there is to learn
  prune=NAME                 how a mask is made      levels=5             how often to prune
  train.length=10ep          epochs, or steps (it)   train.optimizer.lr=0.05
  replicate=0                the seeds               outputs=DIR          where runs go

Choose one of each group with GROUP=NAME:

{groups}

Set any value of the config with KEY=VALUE (see them all: lottery run --cfg job); the last part of
a name is enough where no other setting has it: momentum=0.8

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
    words = meant("run", arguments)
    signals.forget()
    follow_parent()
    typed = os.environ.get(COMMAND) or shlex.join(["lottery", "run", *words])
    with Jobs(typed, is_sweep(words)) as jobs:
        signals.install(jobs.typed)  # before the seconds that the imports take
        compose_each(words, telling(arguments, words, jobs.take), jobs.ahead)
        jobs.finish()
    return closing(jobs)


def groups(arguments: list[str]) -> str:
    """Return the groups and their options, those of --config-dir included, a line each."""
    import yaml

    from lottery.config.defaults import all_places, conf_dir

    chosen = yaml.safe_load((conf_dir() / "run.yaml").read_text())["defaults"]
    known = {key for one in chosen if isinstance(one, dict) for key in one}  # no figures, say
    flags = ("--config-dir", "-cd")
    own = [b for a, b in zip(arguments, arguments[1:], strict=False) if a in flags]
    own += [a.partition("=")[2] for a in arguments if a.startswith(("--config-dir=", "-cd="))]
    found: dict[str, set[str]] = {}
    for folder in [*all_places(), *map(Path, own)]:
        for path in folder.rglob("*.yaml"):
            group = path.parent.relative_to(folder).as_posix()
            if group.partition("/")[0] in known:
                found.setdefault(group, set()).add(path.stem)
    return "\n".join(
        textwrap.fill(
            f"{name}: {', '.join(sorted(options))}",
            100,
            initial_indent="  ",
            subsequent_indent="      ",
        )
        for name, options in sorted(found.items())
        if name != "figure"  # for lottery plot
    )


def closing(jobs: Jobs) -> int:
    """Raise what stopped or failed a single run; sum up a sweep, every failure named."""
    if jobs.sweep:
        print(f"\n{jobs.summary()}")
    if jobs.stopped:
        raise jobs.stopped
    if jobs.sweep:
        return jobs.code
    for _, error in jobs.failures:
        raise error
    return 0

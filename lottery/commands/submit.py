"""Hand a run or a sweep to the queue of a cluster (SLURM), or print it for one.

usage: lottery submit [OVERRIDE...] [slurm.SETTING=VALUE...] [--print]
       lottery submit [OVERRIDE...] [kubernetes.SETTING=VALUE...] --print=kubernetes

The overrides are those of lottery run, with -m those of a sweep. Each run is a task of an array: an
ordinary lottery run that is told two minutes before its time is up, saves a checkpoint, and is put
back into the queue. Dense nets that several runs share are an array of their own, which the others
come after. Runs that are done are left out. All is checked before anything is handed in.
--print shows the script and hands nothing in; --print=kubernetes prints a manifest instead, for
kubectl apply -f -.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from lottery.config.answers import meant, telling
from lottery.config.compose import compose_each
from lottery.errors import UsageError
from lottery.queues.settings import listed, read, refuse_foreign, split

if TYPE_CHECKING:
    from lottery.experiment.single import Single

QUEUES = ("slurm", "kubernetes")
KNOWN: dict[str, str] = {}  # options besides settings


def main(arguments: list[str]) -> int:
    """Hand in the config that the overrides describe, or each of a sweep; return the exit code."""
    from lottery.queues import kubernetes, slurm

    if "-h" in arguments or "--help" in arguments:
        both = [listed("slurm", slurm.KNOWN), listed("kubernetes", kubernetes.KNOWN)]
        print("\n\n".join([(__doc__ or "").rstrip(), *both]))
        return 0
    arguments = joined(arguments)
    shown = [word for word in arguments if word.partition("=")[0] == "--print"]
    asked, own = split([word for word in arguments if word not in shown], QUEUES)
    refuse_foreign(asked, slurm.FLAGS, slurm.OTHERS)
    words = meant("submit", asked, [*shown, *(word for each in own.values() for word in each)])
    kind = (shown[-1].partition("=")[2] or "slurm") if shown else "slurm"
    if kind not in QUEUES:
        raise UsageError(f"submit: --print={kind} is none of {', '.join(QUEUES)}")
    other = next(name for name in QUEUES if name != kind)
    if own[other]:
        raise UsageError(
            f"submit: {own[other][0]} is for --print={other}; take it out, or type --print={other}"
        )
    known = slurm.KNOWN if kind == "slurm" else kubernetes.KNOWN
    settings = read(kind, own[kind], known)
    if kind == "slurm":
        slurm.further(settings["extra"])
    jobs = taken(asked, words)
    if not jobs:
        return 0
    if kind == "kubernetes":
        print(kubernetes.manifest(settings, jobs), end="")
        return 0
    return queue(settings, jobs, bool(shown))


def joined(words: list[str]) -> list[str]:
    """Return words with --print and a queue behind it as one."""
    found: list[str] = []
    for word in words:
        if found and found[-1] == "--print" and word in QUEUES:
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def taken(typed: list[str], words: list[str]) -> list[Single]:
    """Return the jobs, all of them bound; raises UsageError where one cannot be."""
    from lottery.experiment.single import Singles

    singles = Singles()
    compose_each(words, telling(typed, words, singles.take))
    singles.check()
    return singles.each


def queue(settings: dict[str, str], jobs: list[Single], shown: bool) -> int:
    """Hand jobs to SLURM, or print what would be; return the exit code."""
    from lottery.queues import handing
    from lottery.queues.arrays import arrays, finished

    left = [job for job in jobs if not finished(job)]
    if len(left) < len(jobs) and not shown:
        print(f"{len(jobs) - len(left)} of {len(jobs)} runs are done already")
    if not left:
        if shown:
            print("# all runs are done already")
        return 0
    folder = handing.place(jobs[0].folder.parents[2], [job.words for job in jobs])
    dealt = arrays(left, handing.most_tasks())
    if shown:
        commands, script = handing.files(settings, dealt, folder).items()
        print(script[1])
        for call in handing.calls(settings, dealt, script[0]):
            print(f"# {shlex.join(call)}")
        print(f"# {commands[0]}:")
        print("".join(f"#   {line}\n" for line in commands[1].splitlines()), end="")
        return 0
    print("\n".join(handing.told(dealt, handing.hand_in(settings, dealt, folder), folder)))
    return 0

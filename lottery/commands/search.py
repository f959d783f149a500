"""Search for the best settings by validation, over trials that are ordinary runs.

usage: lottery search space.KEY=VALUES [...] [OVERRIDE...] [trials=20] [goal=val_METRIC]
                      [at=last|best|area] [stop=median|none] [sampler=tpe|random] [seed=0]
                      [format=table|csv|json|markdown|latex]

  lottery search space.train.optimizer.lr=log:0.01:0.3 space.prune=imp,snip model=lenet_300_100

VALUES is log:LOW:HIGH, LOW:HIGH, int:LOW:HIGH or int:log:LOW:HIGH for numbers, A,B,C for a choice.
The other words are those of lottery run, without -m; host.workers=4 runs four trials at a time, and
of replicate=0,1,2 each trial is judged by the mean. Optuna chooses the values
(pip install 'lottery[optuna]'). A trial is a run with a folder of its own.

goal is a column of metrics.csv, of validation data only; by default the task's own metric, which
knows which end is better. at=last judges the last level, at=best the best of the pruned ones,
at=area the mean over the levels, by the logarithm of the density. stop=median stops a trial after
a level where it is worse than the median of the trials that are done; the first five go to their
end. The same command goes on with a search that was stopped, and with trials=40 it does more.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lottery.errors import UsageError

if TYPE_CHECKING:
    from lottery.config.composed import Composed
    from lottery.search.asked import Asked
    from lottery.search.goal import Goal

JOURNAL, LOCK = "search.journal", ".lock"


def main(arguments: list[str]) -> int:
    """Run the search, and show what came out; return the exit code."""
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
        return 0
    from lottery.machine import signals
    from lottery.search import asked as words

    found = words.asked(arguments)
    signals.forget()
    typed = shlex.join(["lottery", "search", *arguments])
    signals.install(typed)
    found = words.named(found, found.composed(found.probes()[0])[0])
    first = words.check(found)
    check_optuna()
    goal = goal_of(found, first[0])
    signals.leave_if_asked()
    return searched(found, first, goal, typed)


def complete(begun: str, words: list[str]) -> list[str]:
    """Return what a word that begins with `begun` can become, after the other words of a line."""
    from lottery.search.asked import ONE_OF, OWN
    from lottery.search.axes import SAME, SPACE

    key, equals, typed = begun.partition("=")
    if equals and key in OWN:
        return [f"{key}={value}" for value in ONE_OF.get(key, ()) if value.startswith(typed)]
    own = [word for word in (SPACE, *(f"{name}=" for name in OWN)) if word.startswith(begun)]
    space = begun.startswith(SPACE)
    before = f"{key}={typed[: typed.rfind(',') + 1]}" if equals and space else ""
    plain = begun.removeprefix(SPACE)
    if before:  # after a comma one more value
        plain = f"{key.removeprefix(SPACE)}={typed.rpartition(',')[2]}"
    others = [w for w in words if not w.startswith(SPACE) and w.partition("=")[0] not in OWN]
    found = asked_of_hydra(" ".join(["lottery", *others, plain]))
    if space:
        found = [word for word in found if re.split("[.=]", word)[0] not in SAME]
    if before:
        return [f"{before}{word.partition('=')[2]}" for word in found]
    return [*own * (begun != SPACE), *(f"{SPACE * space}{word}" for word in found)]


def asked_of_hydra(line: str) -> list[str]:
    """Return the words that the last one of a line of lottery run can become."""
    from lottery.commands import run

    os.environ |= {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        run.main(["-sc", "query=bash"])
    return said.getvalue().split()


def check_optuna() -> None:
    """Raise UsageError where Optuna is not installed."""
    try:
        import optuna
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        why = "is not installed" if missing else f"fails: {error}"
        raise UsageError(f"search: optuna {why}; type: pip install 'lottery[optuna]'") from error
    _ = optuna.__version__


def goal_of(found: Asked, first: Composed) -> Goal:
    """Return what is wanted, by the task of the first probe; raises UsageError.

    It is checked as a run is; nothing is fetched or written.
    """
    from lottery.config import build
    from lottery.config.identity import run_folder
    from lottery.experiment.checks import validate
    from lottery.experiment.open_run import open_run
    from lottery.machine.devices import pick_device
    from lottery.machine.environment import set_up
    from lottery.search.goal import goal
    from lottery.tasks.images.outline import only_looking

    settings = first.settings
    set_up(settings["host"]["threads"], settings["host"]["deterministic"])
    with only_looking():
        run = open_run(
            settings,
            build.parts(settings),
            run_folder(settings, first.name),
            pick_device(settings["host"]["device"]),
        )
        validate(run)
    return goal(found.own["goal"], found.own["at"], run.task.metrics, run.task.size("val"))


def searched(found: Asked, first: list[Composed], goal: Goal, typed: str) -> int:
    """Do the trials that are left, and print the table; return the exit code."""
    from lottery.config.identity import run_folder
    from lottery.search.study import Study
    from lottery.search.summary import summary
    from lottery.search.trials import Trials
    from lottery.storage.locks import lock

    settings = first[0].settings
    place = run_folder(settings, first[0].name).parents[1]
    with lock(place / LOCK, run=True):
        study = Study(place / JOURNAL, found.identity(first, goal.column), goal.direction)
        trials = Trials(found, goal, study, settings["levels"])
        said = trials.finished
        if not said:
            trials.run(first[0], typed)
    ended, asked = len(study.ended), found.trials
    if said:
        more = f"trials={max(ended, asked) + 10} does more"
        print(f"lottery: {ended} of {asked} trials are over; {more}", file=sys.stderr)
    outputs = Path(settings["outputs"]).expanduser()
    table, below = summary(trials, place, outputs, found.own["format"])
    print(table)
    data = found.own["format"] in ("csv", "json")
    print(*([] if data else [""]), *below, sep="\n", file=sys.stderr if data else sys.stdout)
    return trials.code

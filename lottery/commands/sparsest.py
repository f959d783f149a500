"""Find the sparsest density that still matches the dense net, by bisection.

usage: lottery sparsest [OVERRIDE...] [levels_until=dense-0.01]

  lottery sparsest prune=snip model=lenet_300_100 levels=15 levels_until=dense-0.01

For methods that prune every level from the dense net (prune.nested=false), whose levels do not
depend on each other: of the densities of the schedule it trains about log2(levels), each a run of
its own with one level, and the dense net once. A level matches that is not worse than levels_until
says, by validation data at its end. Whatever is sparser than one that does not match is taken for
no match. The same command goes on with what was stopped, and trains nothing twice.
"""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING, Any

from lottery.config.answers import meant, telling
from lottery.config.compose import compose_each, is_sweep
from lottery.errors import UsageError
from lottery.wording.text import near

if TYPE_CHECKING:
    from lottery.config.composed import Composed
    from lottery.experiment.run import Run

DEFAULT = "levels_until=dense"


def main(arguments: list[str]) -> int:
    """Search the config that the overrides describe; return the exit code."""
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
        return 0
    from lottery.machine import signals

    words = meant("run", arguments)
    if is_sweep(words):
        raise UsageError("sparsest: it searches one config at a time; type it without -m")
    taken = [*arguments]
    if not any(word.lstrip("+").startswith("levels_until=") for word in words):
        words, taken = [*words, DEFAULT], [*taken, DEFAULT]
    typed = shlex.join(["lottery", "sparsest", *arguments])
    signals.forget()
    signals.install(typed)
    compose_each(words, telling(taken, words, lambda job: search(job, typed)))
    return 0


def opened(job: Composed) -> Run:
    """Return the run whose levels are searched, checked; raises UsageError."""
    from lottery.config import build
    from lottery.config.identity import run_folder
    from lottery.experiment.checks import validate
    from lottery.experiment.open_run import open_run
    from lottery.machine.devices import pick_device
    from lottery.machine.environment import set_up

    settings = job.settings
    parts, folder = build.parts(settings), run_folder(settings, job.name)
    if parts.until is None:
        raise UsageError("sparsest: null matches anything; type levels_until=dense-0.01")
    if parts.pruning.nested:
        raise UsageError(
            "sparsest: this method prunes each level from the level before, so that none can be "
            f"left out; type lottery run with {DEFAULT}-0.01, or a method such as prune=oneshot"
        )
    set_up(settings["host"]["threads"], settings["host"]["deterministic"])
    run = open_run(settings, parts, folder, pick_device(settings["host"]["device"]))
    validate(run)
    return run


def search(job: Composed, typed: str) -> None:
    """Train what the bisection asks for, and print what it found."""
    from lottery.config import build
    from lottery.experiment.launch import launch
    from lottery.planning.sparsest import Bisection, alone
    from lottery.progress.sweep import Sweep
    from lottery.results.formats import aligned
    from lottery.results.results import metrics
    from lottery.terms.until import value

    run = opened(job)
    until, metric, density_of = run.parts.until, run.task.metrics[0], run.settled.density
    assert until is not None
    course, cells = Sweep(total=None, tabled=True), {}
    choices = job.choices | {"schedule": "listed"}

    def look(level: int) -> tuple[float, bool]:
        settings = alone(job.settings, density_of(level))
        course.begin(f"level {level} of {run.parts.levels}")
        parts = build.parts(settings)
        folder = launch(settings, parts, job.name, typed, choices, sweep=course).folder
        course.end(failed=False)
        rows: list[dict[str, Any]] = metrics(folder).to_dict("records")  # type: ignore[assignment]
        dense, ticket = rows[0], rows[1]
        gain = metric.gain(value(metric, ticket), value(metric, dense))
        matches = not until.below(metric, ticket, dense)
        shown = [metric.shown(value(metric, row)) or "NaN" for row in (ticket, dense)]
        cells[level] = (
            str(level), f"{ticket['density']:.4g}", *shown, "yes" if matches else "no", near(folder)
        )  # fmt: skip
        return gain, matches

    found = Bisection(run.parts.levels)
    best = found.search(look)
    heads = ("level", "density", f"val {metric.label}", "dense", "matches", "run")
    print(f"\n{aligned(heads, [cells[n] for n in sorted(cells)], heads[:4])}\n")
    for one, other in found.rises():
        print(f"not monotone: level {other} is better than level {one}, which is denser")
    if any(map(math.isnan, found.gains.values())):
        print("not a number at some level: it counts as no match")
    end = f"of {run.parts.levels} levels, {len(cells)} looked at ({until.said})"
    named = f"level {best}, density {density_of(best):.4g}," if best else "none"
    print(f"sparsest that matches: {named} {end}")

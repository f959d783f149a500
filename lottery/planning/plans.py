"""Plan the configs of one command, one after the other."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from lottery.config.composed import Composed
from lottery.errors import LotteryError
from lottery.progress.sweep import makespan
from lottery.wording.text import printable

if TYPE_CHECKING:
    from lottery.experiment.run import Run
    from lottery.planning.planned import Plan
    from lottery.planning.planning import Planner
    from lottery.planning.timing import Timing


class Plans:
    """The plans of one command, each made after those before it."""

    def __init__(self, timed: bool, sweep: bool) -> None:
        self.timed, self.sweep = timed, sweep
        self.each: list[Plan] = []
        self.refused: list[tuple[str, LotteryError]] = []
        self.timings: dict[str, Timing] = {}
        self.planner: Planner | None = None
        self.workers = 1  # jobs at a time
        self.clock = time.perf_counter()  # the first job has the imports, as that of a run

    def take(self, job: Composed) -> None:
        """Plan one config; in a sweep one that cannot be is noted, and the others go on."""
        try:
            self.each.append(self.plan(job))
        except LotteryError as error:
            if not self.sweep:
                raise
            self.refused.append((" ".join(job.overrides), error))
            print(f"lottery: {printable(' '.join(str(error).split()))}", file=sys.stderr)

    def plan(self, job: Composed) -> Plan:
        """Bind, check and plan one config."""
        from lottery.config import build as config
        from lottery.config.identity import run_folder
        from lottery.experiment.checks import validate
        from lottery.experiment.open_run import open_run
        from lottery.machine.devices import pick_device
        from lottery.machine.environment import set_up
        from lottery.planning.planning import Planner
        from lottery.tasks.images.outline import only_looking

        settings = job.settings
        parts, folder = config.parts(settings), run_folder(settings, job.name)
        threads, self.workers = at_a_time(settings["host"])
        set_up(threads, settings["host"]["deterministic"])
        with only_looking():
            run = open_run(settings, parts, folder, pick_device(settings["host"]["device"]))
            validate(run)
        opening = time.perf_counter() - self.clock
        self.planner = self.planner or Planner(run.watch.warn)
        plan: Plan = self.planner.plan(run, job.overrides)
        plan.opening = opening
        plan.timing = self.timing(run) if self.timed else None
        self.clock = time.perf_counter()
        return plan

    def timing(self, run: Run) -> Timing:
        """Return what a step takes; once for all jobs that train the same net on the same data."""
        from lottery.planning.names import hashed
        from lottery.planning.timing import timed

        recipe, model = run.parts.recipe.settings, run.parts.model_settings
        what = hashed(recipe, model, run.task.fingerprint, str(run.task.device))
        if what not in self.timings:
            self.timings[what] = timed(run)
        return self.timings[what]

    def told(self) -> list[str]:
        """Return of each job the overrides that set it apart from the others."""
        every = [plan.overrides for plan in self.each]
        common = set.intersection(*map(set, every)) if len(every) > 1 else set()
        return [" ".join(w for w in words if w not in common) for words in every]

    def total(self) -> dict[str, Any]:
        """Return what all jobs come to, and what sharing saves."""
        from lottery.planning.planned import SHARED, THERE, TRAIN

        counts = [plan.counts() for plan in self.each]
        times = [plan.seconds(TRAIN) for plan in self.each]
        saved = [plan.seconds(SHARED) for plan in self.each]
        return {
            **{what: sum(each[what] for each in counts) for what in (TRAIN, SHARED, THERE)},
            "steps": sum(plan.steps(TRAIN) for plan in self.each),
            "steps_saved": sum(plan.steps(SHARED) for plan in self.each),
            "steps_there": sum(plan.steps(THERE) for plan in self.each),
            "search_steps": sum(plan.scored().steps for plan in self.each),
            "steps_replayed": sum(plan.replayed() for plan in self.each),
            "seconds": summed(times),
            "workers": self.workers,
            "seconds_with_workers": self.side_by_side(),
            "seconds_saved": summed(saved),
            "disk": sum(plan.disk() for plan in self.each),
            "disk_at_work": max((plan.checkpoints() for plan in self.each), default=0),
        }

    def side_by_side(self) -> float | None:
        """Return the time of all jobs, several at a time; None where something was not timed.

        The imports, in the first job's time, are behind all of them before the first begins.
        """
        from lottery.planning.planned import TRAIN

        times = [plan.seconds(TRAIN) for plan in self.each]
        known = [seconds for seconds in times if seconds is not None]
        if self.workers == 1 or not known or len(known) < len(times):
            return None
        openings = [plan.opening for plan in self.each]
        imports = max(0.0, openings[0] - min(openings))
        known[0] -= imports
        return imports + makespan([], known, self.workers)

    def record(self) -> dict[str, Any]:
        """Return everything, for programs."""
        refused = [{"overrides": w, "error": str(e), "code": e.code} for w, e in self.refused]
        return {
            "jobs": [record(plan) for plan in self.each],
            "refused": refused,
            "total": self.total(),
        }


def at_a_time(host: dict[str, Any]) -> tuple[int | None, int]:
    """Return the threads of a job, and how many jobs there are at a time on this machine."""
    from lottery.experiment.local_place import dealt

    if str(host["workers"]) == "1" or str(host["workers"]).startswith("ray"):
        return host["threads"], 1
    slots, threads = dealt(host)
    return threads, slots.jobs


def summed(values: list[float | None]) -> float | None:
    """Return a sum; None where something was not timed."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def record(plan: Plan) -> dict[str, Any]:
    """Return a plan for programs."""
    from lottery.planning.planned import TRAIN

    levels = [
        {
            "level": row.index,
            "branch": row.branch,
            "density": row.density,
            "kept": row.kept,
            "kept_is": plan.bound if plan.bound and row.index else "exact",
            "total": plan.total,
            "layers": row.layers,
            "steps": row.steps,
            "examples": row.examples,
            "search_steps": row.scored.steps,
            "scored_examples": row.scored.examples,
            "what": row.what,
            "by": row.by,
        }
        for row in plan.rows
    ]
    timing = plan.timing
    return {
        "folder": str(plan.run.folder),
        "overrides": list(plan.overrides),
        "levels_are": "at most" if plan.may_end else "exact",
        "data_missing": plan.missing or None,
        "levels": levels,
        **plan.counts(),
        "steps": plan.steps(TRAIN),
        "steps_are": "at most" if plan.at_most else "exact",
        "scored_from_to": [step.iteration for step in plan.moment] if plan.moment else None,
        "examples": plan.examples(),
        "replayed_steps": plan.replayed(),
        "seconds": plan.seconds(TRAIN),
        "seconds_a_step": timing.step if timing else None,
        "steps_timed": timing.steps if timing else 0,
        "device": timing.device if timing else None,
        "memory": timing.memory if timing else None,
        "disk": plan.disk(),
        "disk_at_work": plan.checkpoints(),
    }

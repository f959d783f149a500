"""Run the trials of a search: ordinary runs over the pool, each judged after its levels.

A trial that may be stopped early is a run that goes on a level at a time, so that what is judged
depends on no clock: it is stopped after a level, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from optuna.trial import FrozenTrial, Trial

from lottery.config.composed import Composed
from lottery.config.identity import run_folder
from lottery.errors import DISK, DONE, DiskError, LotteryError, UsageError
from lottery.experiment.pool import Pool
from lottery.experiment.single import WORKERS, command
from lottery.experiment.worker import Job
from lottery.progress.sweep import Sweep
from lottery.search.asked import Asked
from lottery.search.goal import Goal
from lottery.search.study import FAILED, FIRST, RUNS, Study
from lottery.wording.text import near

IN_A_ROW = 5  # trials that fail one after the other until a search gives up


class FailedError(LotteryError):
    """Too many trials failed; the exit code is that of the first."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Work:
    """A trial that is at work, and those that were given the same values meanwhile."""

    trial: Trial
    words: tuple[str, ...]
    composed: list[Composed]  # a replicate each
    folders: list[Path]
    level: int  # the last one of the jobs at work
    at_work: list[int] = field(default_factory=list)  # the numbers of its jobs
    over: bool = False  # whether what its jobs come to counts no more
    twins: list[Trial] = field(default_factory=list)


class Trials:
    """The trials of one command."""

    def __init__(self, asked: Asked, goal: Goal, study: Study, levels: int) -> None:
        self.asked, self.goal, self.study, self.levels = asked, goal, study, levels
        self.left = study.left()
        self.works: dict[tuple[str, ...], Work] = {}  # by their values
        self.jobs: dict[int, Work] = {}  # by the number of a job at work
        self.failures: list[tuple[str, int]] = []  # in a row
        self.pool: Pool | None = None

    @property
    def finished(self) -> bool:
        """Whether as many trials as were asked for came to an end."""
        return len(self.study.ended) >= self.asked.trials

    @property
    def code(self) -> int:
        """The exit code: that of the first failure where no trial came further, else 0."""
        ended = self.study.ended
        failed = [trial.user_attrs[FAILED][1] for trial in ended if FAILED in trial.user_attrs]
        return int(failed[0]) if len(failed) == len(ended) else 0

    @property
    def giving_up(self) -> bool:
        """Whether too many trials failed."""
        return len(self.failures) >= IN_A_ROW

    def run(self, first: Composed, typed: str) -> None:
        """Run what is left; raises Stopped after a signal, FailedError, DiskError."""
        with TrialPool(first, typed, self) as pool:
            self.pool = pool
            pool.run(self.more, self.over)
        if pool.full:
            full = next(job for job in pool.jobs if job.code == DISK)
            raise DiskError(f"{full.error} (log: {near(full.log)})")
        if self.giving_up:
            told = "; ".join(dict.fromkeys(why for why, _ in self.failures))
            code = self.failures[0][1]
            raise FailedError(f"search: {IN_A_ROW} trials failed one after the other: {told}", code)

    def more(self) -> None:
        """Begin a trial that has to be trained, if one is wanted."""
        while not self.giving_up and self.wanted():
            trial = self.left.pop(0) if self.left else self.study.ask()
            words = self.study.draw(trial, self.asked.axes)
            if words in self.works:
                self.works[words].twins.append(trial)
            elif other := self.alike(words):
                self.study.copy(trial, other)
                self.tell(trial, words, "as before: ")
            elif self.begin(trial, words):
                return

    def wanted(self) -> bool:
        """Say whether a trial more is to be begun."""
        at_work = sum(1 + len(work.twins) for work in self.works.values())
        return len(self.study.ended) + at_work < self.asked.trials

    def alike(self, words: tuple[str, ...]) -> FrozenTrial | None:
        """Return a trial of the same values that came to an end."""
        return next((t for t in self.study.ended if self.words_of(t) == words), None)

    def words_of(self, trial: FrozenTrial) -> tuple[str, ...]:
        """Return the words of a trial's values."""
        return tuple(f"{axis.key}={axis.said(trial.params[axis.key])}" for axis in self.asked.axes)

    def begin(self, trial: Trial, words: tuple[str, ...]) -> bool:
        """Start a trial, or go on with it; say whether it could be composed."""
        whole = self.asked.own["stop"] == "none" or trial.number < FIRST
        noted = max(self.study.frozen(trial).intermediate_values, default=0)
        work = Work(trial, words, [], [], self.levels if whole else noted)
        self.works[words] = work
        try:
            work.composed = self.asked.composed(words)
            work.folders = [run_folder(one.settings, one.name) for one in work.composed]
            trial.set_user_attr(RUNS, ["/".join(f.parts[-2:]) for f in work.folders])
            self.start(work)
        except UsageError as error:
            self.fail(work, str(error), error.code)
            return False
        return True

    def start(self, work: Work) -> None:
        """Give the runs of a trial to the pool, up to its level."""
        assert self.pool is not None
        for at, one in enumerate(work.composed):
            settings = {**one.settings, "levels": work.level}
            job = self.pool.add(replace(
                one, filled=settings, words=(*one.words, f"levels={work.level}"),
                overrides=(f"trial {work.trial.number}", *self.apart(work, at)),
                number=work.trial.number * len(work.composed) + at,
            ))  # fmt: skip
            job.typed = alone(one)
            work.at_work.append(job.composed.number)
            self.jobs[job.composed.number] = work

    def apart(self, work: Work, at: int) -> tuple[str, ...]:
        """Return the words that tell a run of a trial from the others."""
        several = len(work.composed) > 1
        return (*work.words, *([f"replicate={self.asked.replicates[at]}"] if several else []))

    def over(self, job: Job) -> None:
        """Judge a trial, once all of its runs came to the level."""
        assert self.pool is not None
        work = self.jobs.pop(job.composed.number)
        work.at_work.remove(job.composed.number)
        if job.code == DISK or (job.code != DONE and self.pool.passed is not None):
            work.over = True  # the same command goes on with it
        elif job.code != DONE and not work.over:
            code = job.code if job.code is not None and job.code > 0 else 1
            self.fail(work, job.error, code, f" (log: {near(job.log)})")
        elif not work.at_work and not work.over:
            self.judge(work)

    def judge(self, work: Work) -> None:
        """Say what comes after a level: the next one, or the end."""
        try:
            scores = self.goal.scores(work.folders)[: self.levels + 1]
            densities = self.goal.densities(work.folders[0])[: len(scores)]
        except LotteryError as error:
            self.fail(work, str(error), error.code)
            return
        self.study.note(work.trial, scores, densities)
        level = len(scores) - 1
        if level >= self.levels or level < work.level:  # a run may end before its levels do
            self.study.done(work.trial, scores[-1])
        elif self.study.below(work.trial, level, scores[-1]):
            self.study.stop(work.trial)
        else:
            work.level = level + 1
            if not self.giving_up:
                self.start(work)
            return
        if not self.giving_up:
            self.failures.clear()
        self.close(work)

    def fail(self, work: Work, why: str, code: int, where: str = "") -> None:
        """Let a trial end as failed."""
        self.study.fail(work.trial, f"{why}{where}", code)
        if not self.giving_up:
            self.failures.append((why, code))
        self.close(work)

    def close(self, work: Work) -> None:
        """Let the twins of a trial end as it did, and say so."""
        assert self.pool is not None
        work.over = True
        del self.works[work.words]
        for job in [j for j in self.pool.waiting if j.composed.number in work.at_work]:
            self.pool.waiting.remove(job)
            self.over(job)
        self.tell(work.trial, work.words)
        for twin in work.twins:
            self.study.copy(twin, self.study.frozen(work.trial))
            self.tell(twin, work.words, "as before: ")

    def tell(self, trial: Trial, words: Sequence[str], before: str = "") -> None:
        """Print a line about a trial that came to an end."""
        assert self.pool is not None
        said = f"trial {trial.number} {' '.join(words)}: {before}"
        self.pool.screen.say(f"{said}{self.outcome(self.study.frozen(trial))}")

    def outcome(self, trial: FrozenTrial) -> str:
        """Return in words what a trial came to."""
        if failed := trial.user_attrs.get(FAILED):
            return f"failed: {failed[0]}"
        score = f"{self.goal.column} {self.goal.shown(trial.value)}"
        if trial.state.name == "PRUNED":
            return f"{score}, stopped after level {stopped_at(trial)}"
        return score


class TrialPool(Pool):
    """A pool that counts trials."""

    def __init__(self, first: Composed, typed: str, trials: Trials) -> None:
        super().__init__(first, typed, Sweep())
        self.trials = trials

    def tell(self, job: Job, what: str) -> None:
        """Print a line about a job; of what came of a trial the trials tell."""
        if job.code != DONE and not what.startswith("failed"):
            super().tell(job, what)

    def news(self, running: Sequence[tuple[Job, float | None]]) -> str:
        """Return in words how many trials are over and at work, and the best score."""
        trials = self.trials
        ended = trials.study.ended
        words = [f"{len(ended)} of {trials.asked.trials} trials", f"{len(running)} running"]
        if failed := sum(FAILED in trial.user_attrs for trial in ended):
            words.append(f"{failed} failed")
        if order := ranked(ended, trials.goal):
            words.append(f"best {trials.goal.shown(order[0].value)}")
        return f"search: {', '.join(words)}"


def ranked(trials: Sequence[FrozenTrial], goal: Goal) -> list[FrozenTrial]:
    """Return the trials that did all their levels, the best first; of equals the earlier first."""
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    sign = -1 if goal.metric.higher else 1
    return sorted(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def stopped_at(trial: FrozenTrial) -> int:
    """Return the level after which a trial was stopped."""
    return max(trial.intermediate_values, default=0)


def alone(composed: Composed, more: Sequence[str] = ()) -> str:
    """Return the command of a run that goes on with all its levels, on one line."""
    return command([*more, *(w for w in composed.words if w.partition("=")[0] != WORKERS)])

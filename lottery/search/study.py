"""Keep the trials of a search in a journal, and choose the values of the next: Optuna's part.

One process writes a journal at a time: the search holds a lock of its own.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import math
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from lottery.config.identity import changes
from lottery.errors import DamagedError, LotteryError, UsageError
from lottery.search.axes import Axis
from lottery.storage import disk
from lottery.wording.text import first_line, near, rm

Direction = Literal["maximize", "minimize"]
NAME, ASKED, RUNS, FAILED, DENSITIES = "search", "asked", "runs", "failed", "densities"
FIRST = 5  # trials that are never stopped early, and completed ones that a median needs
BLIND = 10  # trials before tpe looks at what came of others
SHOWN = 3  # differences that a line names
NEAR = 0.05  # densities are one density where they differ by less, relatively
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Study:
    """The trials of a search, on the disk; `asked` is what makes it this search and no other.

    Raises DamagedError for a journal that cannot be read, and UsageError for another search's.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], direction: Direction) -> None:
        self.path, self.seed, self.sampler = path, asked["seed"], asked["sampler"]
        self.higher = direction == "maximize"
        with understood(path):
            mend(path)
            self.study = opened(path, direction)
            before = self.study.user_attrs.get(ASKED)
            if before != asked and not self.trials:  # nothing came of it
                path.unlink()
                self.study = opened(path, direction)
                self.study.set_user_attr(ASKED, before := dict(asked))
            if not isinstance(before, dict):
                raise ValueError("it does not say what was asked for")
        if before != asked:
            raise UsageError(f"search: {another(path, before, dict(asked))}")
        with understood(path):
            for trial in self.trials:
                readable(trial, asked["space"])

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order in which they were begun."""
        return self.study.get_trials(deepcopy=False)

    @property
    def ended(self) -> list[FrozenTrial]:
        """The trials that came to an end: done, stopped early or failed."""
        return [trial for trial in self.trials if trial.state in ENDED]

    def left(self) -> list[Trial]:
        """Return the trials that were at work when a search ended, to be gone on with."""
        return [
            Trial(self.study, t._trial_id) for t in self.trials if t.state == TrialState.RUNNING
        ]

    def ask(self) -> Trial:
        """Begin a trial."""
        self.study.sampler = self.sampled(0, "")
        return self.study.ask()

    def draw(self, trial: Trial, axes: Sequence[Axis]) -> tuple[str, ...]:
        """Return the words of a trial's values; those that it has already stay.

        Each is drawn by numbers of its own, which depend on the seed, the trial and the key, so
        that a search which was killed goes on as if it had not been.
        """
        words = []
        for axis in axes:
            self.study.sampler = self.sampled(trial.number, axis.key)
            words.append(f"{axis.key}={axis.draw(trial)}")
        return tuple(words)

    def sampled(self, number: int, key: str) -> BaseSampler:
        """Return what draws a value of a trial."""
        digest = hashlib.sha256(f"{self.seed} {number} {key}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big")
        if self.sampler == "random":
            return RandomSampler(seed=seed)
        return TPESampler(seed=seed, n_startup_trials=BLIND, constant_liar=True)

    def note(self, trial: Trial, scores: Sequence[float], densities: Sequence[float]) -> None:
        """Write down the scores of a trial after its levels, and the densities of these."""
        there = self.frozen(trial).intermediate_values
        trial.set_user_attr(DENSITIES, [*densities])
        for level, score in enumerate(scores):
            if level not in there:
                trial.report(score, level)

    def done(self, trial: Trial, score: float) -> None:
        """Let a trial end with its last level."""
        self.study.tell(trial, score)

    def stop(self, trial: Trial) -> None:
        """Let a trial end at the level that was noted last."""
        self.study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: Trial, why: str, code: int) -> None:
        """Let a trial end as failed."""
        trial.set_user_attr(FAILED, [why, code])
        self.study.tell(trial, state=TrialState.FAIL)

    def copy(self, trial: Trial, other: FrozenTrial) -> None:
        """Let a trial end as another one of the same values did."""
        for key in (RUNS, FAILED, DENSITIES):
            if key in other.user_attrs:
                trial.set_user_attr(key, other.user_attrs[key])
        for level, score in sorted(other.intermediate_values.items()):
            trial.report(score, level)
        done = other.state == TrialState.COMPLETE  # Optuna has a value of stopped ones, too
        self.study.tell(trial, other.values if done else None, state=other.state)

    def below(self, trial: Trial, level: int, score: float) -> bool:
        """Say whether a score after a level is worse than the median of completed trials there.

        Only trials of the same density are asked, since a net of more weights is mostly better, and
        of those with the same run one.
        It is the rule of Optuna's MedianPruner but for what is compared: not the best score so far,
        which is mostly that of the dense net, but the score after this level.
        """
        here = self.frozen(trial)
        others = {
            tuple(other.user_attrs.get(RUNS, [other.number])): other.intermediate_values[level]
            for other in self.trials
            if other.state == TrialState.COMPLETE and level in other.intermediate_values
            if other.number != trial.number and as_dense(here, other, level)
        }
        if len(others) < FIRST:
            return False
        middle = statistics.median(others.values())
        return score < middle if self.higher else score > middle

    def frozen(self, trial: Trial) -> FrozenTrial:
        """Return a trial as the journal has it."""
        return self.trials[trial.number]


def as_dense(one: FrozenTrial, other: FrozenTrial, level: int) -> bool:
    """Say whether two trials keep the same share of their weights after a level.

    True where one does not tell, as in a journal from before that was noted.
    """
    first, second = (t.user_attrs.get(DENSITIES, [])[level : level + 1] for t in (one, other))
    return not first or not second or math.isclose(first[0], second[0], rel_tol=NEAR)


class Journal(JournalFileBackend):
    """A journal that says of a disk which is full, or gone, what every file here says."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines at the end; raises DiskError."""
        try:
            super().append_logs(logs)
        except OSError as error:
            raise disk.refused(Path(self._file_path), "write", error) from error


def opened(path: Path, direction: Direction) -> optuna.Study:
    """Return the study of a journal, a new one where there is none; raises what Optuna does."""
    storage = JournalStorage(
        Journal(str(path), JournalFileOpenLock(str(path)))  # no symbolic links
    )
    if NAME in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name=NAME, storage=storage)
    if path.stat().st_size:
        raise ValueError("it holds no search")
    return optuna.create_study(study_name=NAME, storage=storage, direction=direction)


@contextlib.contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turn whatever Optuna raises for a journal that it cannot read into one line."""
    try:
        yield
    except LotteryError:
        raise
    except OSError as error:
        raise disk.refused(path, "use", error) from error
    except Exception as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        raise DamagedError(
            f"{near(path)} is damaged ({why}); {rm(path)} begins the search anew: what its trials "
            "have trained is read, not trained again"
        ) from error


def another(path: Path, before: dict[str, Any], asked: dict[str, Any]) -> str:
    """Return the line for a journal of another search."""
    told = changes(before, asked)
    more = f"; {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return (
        f"{near(path)} is of another search ({'; '.join(told[:SHOWN])}{more}); type name=OTHER, or "
        f"{rm(path)}"
    )


def mend(path: Path) -> None:
    """Put in order what a search that was killed has left; raises OSError, ValueError for no file.

    Nobody else writes: the search holds its lock.
    """
    disk.make_folder(path.parent)
    for left in path.parent.glob(f"{glob.escape(path.name)}.lock*"):  # Optuna waits 30 s for it
        left.unlink(missing_ok=True)
    if not path.exists():
        return
    if not path.is_file():
        raise ValueError("it is no file")
    with open(path, "rb+") as file:
        text = file.read()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            file.truncate(whole)
            os.fsync(file.fileno())


def readable(trial: FrozenTrial, keys: Mapping[str, str]) -> None:
    """Raise ValueError for a trial that no search of these keys could have written."""
    if trial.state in ENDED and {*trial.params} != {*keys}:
        raise ValueError(f"trial {trial.number} has no values, or others")
    for level, score in trial.intermediate_values.items():
        if not isinstance(level, int) or not math.isfinite(score):
            raise ValueError(f"trial {trial.number} has a score of {score} after level {level}")
    runs, failed = trial.user_attrs.get(RUNS, []), trial.user_attrs.get(FAILED, ["", 1])
    if not isinstance(runs, list) or not all(isinstance(run, str) for run in runs):
        raise ValueError(f"the runs of trial {trial.number} are no names")
    densities = trial.user_attrs.get(DENSITIES, [])
    if not isinstance(densities, list) or not all(isinstance(d, float) for d in densities):
        raise ValueError(f"the densities of trial {trial.number} are no numbers")
    if not isinstance(failed, list) or [*map(type, failed)] != [str, int]:
        raise ValueError(f"the error of trial {trial.number} is none")

"""Deal the runs of a sweep out to arrays, so that none waits in its place for another's level.

Dense nets that several runs want are an array of their own, of one run with `levels=0` each; the
runs that want them come after it. They come after it whatever became of it: a run whose dense net
failed trains it itself, where waiting for it to succeed would leave all of them in the queue.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lottery.errors import LotteryError
from lottery.experiment.analyses import answered
from lottery.experiment.dense import in_order
from lottery.experiment.ending import last_level
from lottery.experiment.levels import current
from lottery.experiment.single import Single
from lottery.storage.records import levels, place, read_run
from lottery.terms.metric import metrics_of

DENSE = "levels=0"


@dataclass(frozen=True)
class Array:
    """Runs that may be started in any order, all at once."""

    what: str  # each is, for people
    words: tuple[tuple[str, ...], ...]  # of each what follows `lottery run`
    jobs: tuple[Single, ...]
    after: tuple[int, ...] = ()  # the places of the arrays that have ended before it begins


def arrays(jobs: Sequence[Single], most: int) -> list[Array]:
    """Return arrays of at most `most` runs, each after those that it waits for."""
    first = {job.folder: job for job in reversed(jobs)}
    again = [job for job in jobs if first[job.folder] is not job]  # a run that others are at, too
    jobs = [job for job in jobs if first[job.folder] is job]
    known = {job.dense for job in jobs if has_dense(job)}
    wanted = Counter(job.dense for job in jobs if job.dense not in known)
    heads = {job.dense: job for job in reversed(jobs) if wanted[job.dense] > 1}
    rest = [job for job in jobs if job.dense in heads and not dense_alone(job, heads)]
    found: list[Array] = []
    dense = parts("dense net", list(heads.values())[::-1], (), most, (DENSE,))
    found += dense
    found += parts("run", [job for job in jobs if job.dense not in heads], (), most)
    found += parts("run", in_order(rest), tuple(range(len(dense))), most)
    while again:  # a turn for each command on one run
        turn = {job.folder: job for job in reversed(again)}
        now = [job for job in again if turn[job.folder] is job]
        again = [job for job in again if turn[job.folder] is not job]
        found += parts("run", now, tuple(range(len(found))), most)
    return found


def dense_alone(job: Single, heads: dict[str, Single]) -> bool:
    """Say whether a job is the training of a dense net, and nothing else."""
    return heads[job.dense] is job and job.parts.levels == 0


def parts(
    what: str, jobs: Sequence[Single], after: tuple[int, ...], most: int, more: tuple[str, ...] = ()
) -> list[Array]:
    """Return jobs as arrays of at most `most`; `more` are further words of each."""
    pieces = [jobs[at : at + most] for at in range(0, len(jobs), most)]
    return [
        Array(what, tuple((*job.words, *more) for job in piece), tuple(piece), after)
        for piece in pieces
    ]


def has_dense(job: Single) -> bool:
    """Say whether a run has its dense net already."""
    return has(job, [place(0)])


def finished(job: Single) -> bool:
    """Say whether a run has all that is asked for, so that its command would train nothing."""
    last = last_wanted(job)
    wanted = [place(index) for index in range(last + 1)]
    at, branches = job.parts.branch_levels, job.parts.branch_settings
    for index in range(last + 1):
        if index > 0 if at is None else index in at:
            wanted += [place(index, name) for name in branches]
    with contextlib.suppress(LotteryError, OSError):
        record = read_run(job.folder)
        then, now = record.get("code", {}), job.parts.code
        same = now.items() <= (now | then).items()
        done = record.get("state") == "done" and same and has(job, wanted)
        return bool(done and answered(job.folder, job.parts))
    return False


def last_wanted(job: Single) -> int:
    """Return the last level that a run is to have: with levels_until as far as can be told now."""
    most: int = job.parts.levels
    if job.parts.until is None:
        return most
    with contextlib.suppress(LotteryError, OSError):
        record = read_run(job.folder)
        metric, outputs = metrics_of(record)[0], job.folder.parents[2]
        ended = last_level(job.parts, outputs, levels(job.folder), metric)
        if ended is None and job.settings["levels"] is None:  # where its weights end
            return min(most, int(record.get("levels_most", most)))
        return most if ended is None else ended
    return most


def has(job: Single, wanted: Sequence[str]) -> bool:
    """Say whether a run has levels and branches, with the settings that are asked for now."""
    with contextlib.suppress(LotteryError, OSError, KeyError):
        entries, settings = levels(job.folder), job.parts.branch_settings
        for name in wanted:
            entry = entries.get(name, {})
            branch = name.removeprefix("level_").partition("_")[2]
            if branch and entry.get("settings") != settings[branch]:
                return False
            if current(job.folder.parents[2], entry) is None:
                return False
        return True
    return False

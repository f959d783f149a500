"""Run from Python what `lottery run` runs, and leave the process as it was."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lottery.config.answers import meant
from lottery.config.compose import compose_each, is_sweep
from lottery.config.identity import flat
from lottery.errors import INTERRUPTED, UsageError
from lottery.experiment.jobs import Jobs, one_line
from lottery.machine import signals
from lottery.results.retyped import spelled
from lottery.results.tidy import Runs
from lottery.wording import telling

ALONE = threading.Lock()  # hydra and torch have one state a process


def run(overrides: str | Sequence[str] = (), *more: str, **settings: Any) -> Runs:
    """Run what `lottery run` would with these words; return the runs as tables.

    They run in this process, but for a sweep with host.workers, which has processes of its own.

    Words come as one line, as a list, or one by one, and settings as keywords, those below a dot in
    a dict: lottery.run("model=resnet20 prune=imp", levels=3, train={"optimizer": {"lr": 0.05}}).

    With "-m" all jobs of a sweep, also where one fails. Raises the LotteryError of the first
    failure, with the others as its notes; the rest of a sweep is then to be had by lottery.load.
    Ctrl-C, or a notebook's stop button, writes one checkpoint and raises KeyboardInterrupt; the
    same call goes on from there. In a thread other than the main one nothing can interrupt a run;
    of two threads one waits for the other. Handlers of signals, the settings of torch, its
    generators and hydra's state are the caller's again afterwards.
    """
    words = meant("run", typed(overrides, more, settings))
    jobs = Jobs(shlex.join(["lottery", "run", *words]), is_sweep(words))
    with ALONE, telling.kept(), signals.borrowed(), torch_kept(), jobs:
        signals.install(jobs.typed)
        compose_each(words, jobs.take, jobs.ahead)
        jobs.finish()
    if jobs.stopped and jobs.stopped.code == INTERRUPTED:
        raise KeyboardInterrupt(str(jobs.stopped)) from jobs.stopped
    if jobs.stopped:
        raise jobs.stopped
    if jobs.failures:
        (_, error), *others = jobs.failures
        for job, other in others:
            error.add_note(f"failed too: {job}: {one_line(other)}")
        raise error
    return Runs(tuple(ran.folder for _, ran in jobs.ran))


def typed(
    overrides: str | Sequence[str], more: Sequence[str], settings: Mapping[str, Any]
) -> list[str]:
    """Return the words of a call of `run`; raises UsageError for quotes that do not close."""
    lines, words = ([overrides, *more], []) if isinstance(overrides, str) else (more, overrides)
    try:
        split = [word for line in lines for word in words_of(line)]
    except ValueError as error:
        raise UsageError(f"run: {error} in {overrides!r}; give the words as a list") from error
    given = [f"{key}={spelled(value)}" for key, value in flat(dict(settings)).items()]
    return [*map(str, words), *split, *given]


def words_of(line: str) -> list[str]:
    """Return the words of a line as a shell reads them, but that spaces in brackets part none.

    In Python a list is written with spaces: "model.hidden=[300, 100]". Raises ValueError for quotes
    that do not close.
    """
    words: list[str] = []
    for word in shlex.split(line):
        if words and open_in(words[-1]):
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words


def open_in(word: str) -> bool:
    """Say whether a bracket of the value in KEY=VALUE is not closed yet."""
    value = word.partition("=")[2]
    return any(value.count(one) > value.count(other) for one, other in ("[]", "{}", "()"))


@contextlib.contextmanager
def torch_kept() -> Iterator[None]:
    """Give torch's settings and generators back to the caller at the end."""
    import torch

    from lottery.machine.environment import CUBLAS

    smallest = sys.float_info.min
    flushed = smallest / 2 == 0.0  # torch does not tell
    threads, cublas = torch.get_num_threads(), os.environ.get(CUBLAS)
    exact = torch.are_deterministic_algorithms_enabled()
    warned, cudnn = torch.is_deterministic_algorithms_warn_only_enabled(), torch.backends.cudnn
    cudnn_exact = cudnn.deterministic
    cuda = torch.cuda.device_count() if torch.cuda.is_initialized() else 0  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=range(cuda)):
            yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(threads)
        if exact != torch.are_deterministic_algorithms_enabled():
            torch.use_deterministic_algorithms(exact, warn_only=warned)
        cudnn.deterministic = cudnn_exact
        if cublas is None:
            os.environ.pop(CUBLAS, None)

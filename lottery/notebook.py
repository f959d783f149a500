"""Run from Python what `lottery run` runs, and leave the process as it was."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import threading
from collections.abc import Iterator, Sequence

from lottery import signals
from lottery.composing import compose_each, is_sweep
from lottery.errors import INTERRUPTED, UsageError
from lottery.jobs import Jobs, one_line
from lottery.looking.tidy import Runs

ALONE = threading.Lock()  # hydra and torch have one state a process


def run(overrides: Sequence[str] = ()) -> Runs:
    """Run what `lottery run` would with these words, in this process; return the runs as tables.

    With "-m" all jobs of a sweep, also where one fails. Raises the LotteryError of the first
    failure, with the others as its notes; the rest of a sweep is then to be had by lottery.load.
    Ctrl-C, or a notebook's stop button, writes one checkpoint and raises KeyboardInterrupt; the
    same call goes on from there. In a thread other than the main one nothing can interrupt a run;
    of two threads one waits for the other. Handlers of signals, the settings of torch, its
    generators and hydra's state are the caller's again afterwards.
    """
    if isinstance(overrides, str):
        raise UsageError(f"run: give a list of words, lottery.run([{overrides!r}])")
    words = [str(word) for word in overrides]
    jobs = Jobs(shlex.join(["lottery", "run", *words]), is_sweep(words))
    with ALONE, signals.borrowed(), torch_kept():
        signals.install(jobs.typed)
        compose_each(words, jobs.take)
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


@contextlib.contextmanager
def torch_kept() -> Iterator[None]:
    """Give torch's settings and generators back to the caller at the end."""
    import torch

    from lottery.environment import CUBLAS

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

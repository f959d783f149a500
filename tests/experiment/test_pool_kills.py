"""Processes of a sweep that are killed at any time: nothing is lost, and no orphan stays."""

import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.experiment.test_pool import alive, children_of, tensors

pytestmark = pytest.mark.torture
LENGTH = ["train.length=300ep", "evaluate_every=100ep", "levels=1", "checkpoint_every=0.1s"]
CODES = {"SIGINT": (130,), "SIGTERM": (143,), "SIGKILL": (-9,)}


@pytest.fixture
def start(tmp_path):
    """Start a sweep; it is killed at the end of the test where it is still at work."""
    started = []

    def call(words):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "lottery", "run", "-m", *words]
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True))  # fmt: skip
        return started[-1]

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def as_alone(tmp_path, shell, words):
    """Say whether the runs have the bits of one process that does one after the other."""
    there = tensors(tmp_path / "outputs")
    (tmp_path / "outputs").rename(tmp_path / "killed")
    alone = shell("run", "-m", *words, "host.threads=1")
    assert alone.returncode == 0, alone.stderr
    return tensors(tmp_path / "outputs") == there


def gone(pids, seconds):
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, pids))


def test_jobs_that_are_killed_at_thirty_instants_end_as_alone(tiny, tmp_path, shell, start):
    draw, words = random.Random(7), [*tiny, *LENGTH, "prune=imp,random", f"replicate={','.join(map(str, range(18)))}"]
    sweep = start([*words, "workers=2", "host.retries=30"])
    due, killed = {}, 0
    while sweep.poll() is None:
        for pid in [child for one in children_of(sweep.pid) for child in children_of(one)]:
            due.setdefault(pid, time.monotonic() + draw.uniform(0, 1.2))
            if time.monotonic() >= due[pid] and killed < 30 and alive(pid):
                os.kill(pid, signal.SIGKILL)
                killed += 1
                due[pid] = float("inf")
        time.sleep(0.02)
    out = sweep.communicate()[0]
    assert sweep.returncode == 0, out
    assert killed == 30 and out.count("killed by SIGKILL; again") >= killed - 2, (killed, out)
    assert "sweep: 36 of 36 runs done" in out
    assert as_alone(tmp_path, shell, words)


@pytest.mark.parametrize(("name", "instants"), [("SIGKILL", 6), ("SIGINT", 3), ("SIGTERM", 3)])
def test_a_sweep_that_is_ended_at_some_instants_goes_on_and_ends_as_alone(tiny, tmp_path, shell, start, name, instants):
    draw, words = random.Random(name), [*tiny, *LENGTH, "prune=imp,random", "replicate=0,1,2,3"]
    ended = 0
    for _ in range(instants):
        sweep = start([*words, "workers=2"])
        time.sleep(draw.uniform(0.3, 5))
        below = children_of(sweep.pid)
        sweep.send_signal(getattr(signal, name))
        out = sweep.communicate(timeout=120)[0]
        if sweep.returncode == 0:
            break
        ended += 1
        assert sweep.returncode in CODES[name], out
        assert gone(below, 10), out
    assert ended >= instants // 3
    sweep = start([*words, "workers=2"])
    out = sweep.communicate(timeout=300)[0]
    assert sweep.returncode == 0 and "8 of 8 runs done" in out, out
    assert as_alone(tmp_path, shell, words)


def test_two_sweeps_at_once_over_one_folder_do_every_level_once(tiny, tmp_path, shell, start):
    words = [*tiny, *LENGTH, "prune=imp,random", "replicate=0,1,2"]
    both = [start([*words, "workers=2"]), start([*words, "workers=2", "host.retries=3"])]
    outs = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], outs
    trained = sum(int(word) for out in outs for word in re.findall(r"(\d+) trained", out))
    assert trained == 9, outs  # a dense level a replicate, shared, and a pruned one of each method
    assert as_alone(tmp_path, shell, words)

"""A signal at any point: a checkpoint at the next step, the right exit code, and how to go on."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from harness import (
    LENET,
    LONGEST,
    assert_same,
    assert_sound,
    bits,
    compose,
    finish,
    output,
    spawn,
    start,
    tortured,
    until,
    wait,
    whole,
)
from points import after_step, before_rename, in_criterion, in_evaluation

from lottery import cli
from lottery.experiment import loop
from lottery.machine import signals
from lottery.storage.records import read_signed

CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 75, "SIGUSR2": 75}
WORDS = [*LENET, "levels=1", "branch=[]", "host.progress=lines"]


def send(name, times=1):
    """Send this process a signal, and again once it was seen."""
    for number in range(times):
        os.kill(os.getpid(), getattr(signal, name))
        while number < times and not signals.ASKED:
            time.sleep(0.001)


def while_data_loads(plan, act):
    def dataset(*arguments, **settings):
        act()
        return plan.parts.dataset(*arguments, **settings)

    return replace(plan, parts=replace(plan.parts, dataset=dataset)), None


def between_levels(plan, act):
    def before():
        real = loop.Tables.write

        def write(self):
            real(self)
            act()

        loop.Tables.write = write

    return plan, before


# what a point does to the plan and to the child; the level then at work, and its checkpoint after:
# that of the step at hand, or one more
POINTS = {
    "while data loads": (while_data_loads, None, None),
    "mid-epoch": (lambda plan, act: (plan, lambda: after_step(5, act)), 0, 5),
    "evaluation": (lambda plan, act: (plan, lambda: in_evaluation(10, act)), 0, 11),
    "scoring": (lambda plan, act: (in_criterion(plan, act), None), 1, 5),  # rewind.to=4it
    "checkpoint": (lambda plan, act: (plan, lambda: before_rename("checkpoint-", act)), 0, None),
    "closing writes": (lambda plan, act: (plan, lambda: before_rename("end.", act)), 1, None),
    "between levels": (between_levels, 1, None),
}  # fmt: skip


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Return the plan of these tests and the bits of its run."""
    plan = compose(WORDS)
    return plan, whole(tmp_path_factory.mktemp("whole"), plan)[0]


def assert_stopped(folder, code, name, plan):
    """Assert exit code, hint and state of a run that a signal stopped; return what is acknowledged."""
    assert code == CODES[name], output(folder)
    hint = f"lottery: stopped; to go on from here: {plan.command}"
    assert hint in output(folder).splitlines(), output(folder)
    [folder_of_run] = folder.glob("outputs/*/*/replicate_0")
    assert read_signed(folder_of_run / "run.json")["state"] == "stopped"
    return assert_sound(folder)


def sweep(folder, words, before=None):
    """Start a sweep in a child; return its process id."""
    return spawn(folder, lambda: cli.main(["-v", "run", "-m", *words]), before)


@pytest.mark.parametrize("point", tortured(POINTS, "mid-epoch"))
@pytest.mark.parametrize("name", tortured(CODES, "SIGTERM"))
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(
    tmp_path, tally, reference, name, point
):
    plan, expected = reference
    arrange, level, step = POINTS[point]
    armed, before = arrange(plan, lambda: send(name))
    code = finish(tmp_path, armed, before)
    done = assert_stopped(tmp_path, code, name, plan)
    if level is not None:
        assert len(done["levels"]) == level
    if step is not None:
        assert list(done["checkpoints"].values()) == [step]
    assert finish(tmp_path, plan) == 0, output(tmp_path)
    assert_same(tmp_path, expected, done)
    tally("signals", 1)


@pytest.mark.torture
@pytest.mark.parametrize("name", CODES)
def test_a_signal_while_another_run_holds_the_level(tmp_path, tally, reference, name):
    plan, expected = reference
    key = expected[next(n for n in expected if n.endswith("/level_00"))].rpartition("/")[2]
    shelf = tmp_path / "outputs" / "store" / key
    shelf.mkdir(parents=True)
    with FileLock(shelf / ".lock"):
        child = start(tmp_path, plan)
        until(lambda: "waiting to share it" in output(tmp_path))
        os.kill(child, getattr(signal, name))
        done = assert_stopped(tmp_path, wait(child), name, plan)
    assert not done["levels"]
    assert finish(tmp_path, plan) == 0, output(tmp_path)
    assert_same(tmp_path, expected, done)
    tally("signals", 1)


@pytest.mark.torture
@pytest.mark.parametrize("name", CODES)
def test_a_second_signal_leaves_at_once(tmp_path, tally, reference, name):
    def stuck():  # the checkpoint that the first signal waits for never gets its name
        send(name, 2)
        time.sleep(2 * LONGEST)

    plan, expected = reference
    code = finish(tmp_path, plan, lambda: before_rename("checkpoint-", stuck))
    assert code == CODES[name], output(tmp_path)
    assert "to go on from here" not in output(tmp_path)
    done = assert_sound(tmp_path)
    assert not done["levels"]
    assert max(done["checkpoints"].values(), default=0) <= 3
    assert finish(tmp_path, plan) == 0, output(tmp_path)
    assert_same(tmp_path, expected, done)
    tally("signals", 1)


def test_signals_that_do_not_wake_the_main_thread_are_answered_while_it_waits_for_a_disk(
    tmp_path, tally, reference
):
    def stuck():  # in the thread that writes; the main thread waits for it before the next one
        time.sleep(0.2)
        for number in (1, 2):
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            until(lambda: len(signals.ASKED) == number)  # noqa: B023 (called in the loop)

    plan, expected = reference
    code = finish(tmp_path, plan, lambda: before_rename("checkpoint-", stuck))
    assert code == CODES["SIGTERM"], output(tmp_path)
    assert finish(tmp_path, plan) == 0, output(tmp_path)
    assert_same(tmp_path, expected)
    tally("signals", 1)


@pytest.mark.torture
@pytest.mark.parametrize("name", CODES)
def test_a_signal_stops_a_sweep(tmp_path, tally, name):
    words = [*WORDS, "replicate=0,1"]
    code = wait(sweep(tmp_path / "stopped", words, lambda: after_step(5, lambda: send(name))))
    command = shlex.join(["lottery", "run", "-m", *words])
    assert code == CODES[name], output(tmp_path / "stopped")
    assert f"lottery: stopped; to go on from here: {command}" in output(tmp_path / "stopped")
    done = assert_sound(tmp_path / "stopped")
    assert list(done["checkpoints"].values()) == [5]
    assert wait(sweep(tmp_path / "stopped", words)) == 0, output(tmp_path / "stopped")
    assert wait(sweep(tmp_path / "whole", words)) == 0, output(tmp_path / "whole")
    assert_same(tmp_path / "stopped", bits(tmp_path / "whole"), done)
    tally("signals", 1)


@pytest.mark.torture
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_a_signal_while_torch_is_imported(tmp_path, tally):
    command = [sys.executable, "-m", "lottery", "run", *WORDS]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    until(lambda: answers(process, signal.SIGUSR1))
    process.send_signal(signal.SIGUSR1)
    said = process.communicate()[1]
    assert process.returncode == 75, said
    assert f"to go on from here: {shlex.join(['lottery', 'run', *WORDS])}" in said
    assert not list(tmp_path.glob("outputs/store/*"))
    tally("signals", 1)


def answers(process, number):
    """Say whether a process has a handler for a signal, or has ended."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(re.search(r"^SigCgt:\s+(\w+)", status, re.M)[1], 16)
    return caught >> (number - 1) & 1 or process.poll() is not None

"""One writer for a run and for a level; readers never see a thing half-made."""

import contextlib
import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial

import pytest
from filelock import FileLock
from harness import (
    LENET,
    assert_same,
    assert_sound,
    bits,
    compose,
    finish,
    first,
    output,
    rows_once,
    spawn,
    start,
    torn,
    until,
    wait,
    whole,
)
from points import after_step, die

from lottery import cli
from lottery.storage import locks
from lottery.storage.records import read_owner, read_signed

WORDS = [*LENET, "levels=1", "branch=[]", "host.progress=lines"]
HOST = socket.gethostname()
# how a run's last page, and a later job of a sweep in its one line, say what was trained
LEVELS = re.compile(r"^(?:levels: |.*: level \d+, density .*, )(\d+) trained\b", re.M)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Return the plan of these tests and the bits of its run."""
    plan = compose(WORDS)
    return plan, whole(tmp_path_factory.mktemp("whole"), plan)[0]


def start_held(folder, plan, gate, out="out.txt"):
    """Start a run that stops at step 5 until the file `gate` is there; return its process id."""

    def before():
        after_step(5, lambda: until(gate.exists))
        real = locks.busy
        locks.busy = lambda place: until(lambda: read_owner(place / ".lock")) or real(place)

    return start(folder, plan, before, out)


def at_step_5(folder):
    """Say whether a run that stops there has come so far: its checkpoint of step 3 is written."""
    return list(folder.glob("outputs/store/*/checkpoint-3-*"))


def owner(folder):
    """Return the process id that stands beside the lock of a run."""
    [path] = folder.glob("outputs/*/*/replicate_0/.owner")
    return json.loads(path.read_text())["pid"]


def holder(text):
    """Return process id and host of the one who holds a lock, as a line says it."""
    found = re.search(r"process (\d+) on (\S+)", text)
    assert found, text
    return int(found[1]), found[2]


def trained(folder):
    """Return how many levels all commands in a folder together say they have trained."""
    texts = [path.read_text() for path in folder.glob("*.txt")]
    return sum(int(n) for text in texts for n in LEVELS.findall(text))


def shelves(folder):
    return list(folder.glob("outputs/store/*/manifest.json"))


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(3))
def test_of_two_that_race_for_a_run_one_proceeds(tmp_path, tally, reference, seed):
    plan, expected = reference
    draw = random.Random(seed)
    for number in range(4):
        folder, gate = tmp_path / f"run_{number}", tmp_path / f"gate_{number}"
        children = {}
        for out in ("one.txt", "other.txt"):
            children[start_held(folder, plan, gate, out)] = out
            time.sleep(draw.choice((0, 0.001, 0.01, 0.03)))
        loser, code = first(list(children))
        assert code == 3, output(folder, children[loser])
        [winner] = children.keys() - {loser}
        assert holder(output(folder, children[loser])) == (winner, HOST)
        gate.touch()
        assert wait(winner) == 0, output(folder, children[winner])
        assert_same(folder, expected)
        assert trained(folder) == 2
        tally("locks", 1)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(2))
def test_a_lock_dies_with_its_process(tmp_path, tally, reference, seed):
    plan, expected = reference
    for number in range(4):
        folder, gate = tmp_path / f"run_{number}", tmp_path / "gate"
        holders = []
        for _ in range(2):
            holders.append(start_held(folder, plan, gate))
            until(lambda: at_step_5(folder) and owner(folder) == holders[-1])  # noqa: B023
            if len(holders) == 2:  # what the first one left named a process that is gone
                assert wait(start(folder, plan, out="late.txt")) == 3
                assert holder(output(folder, "late.txt")) == (holders[1], HOST)
            os.kill(holders[-1], signal.SIGKILL)
            assert wait(holders[-1]) == -signal.SIGKILL
        before = assert_sound(folder)
        assert finish(folder, plan) == 0, output(folder)
        assert_same(folder, expected, before)
        tally("locks", 1)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(2))
def test_two_runs_that_want_the_same_level_train_it_once(tmp_path, tally, reference, seed):
    _, expected = reference
    plans = {name: compose([*WORDS, f"name={name}"]) for name in ("one", "other")}
    draw = random.Random(seed)
    for number in range(4):
        folder = tmp_path / f"run_{number}"
        children = []
        for name, plan in plans.items():
            children.append(start(folder, plan, out=f"{name}.txt"))
            time.sleep(draw.choice((0, 0.003, 0.03, 0.1)))
        assert [wait(child) for child in children] == [0, 0], said(folder)
        assert_sound(folder)
        assert trained(folder) == len(shelves(folder)) == 2
        assert tensors(folder) == {n: v for n, v in expected.items() if n.endswith(".safetensors")}
        tally("locks", 1)


@pytest.mark.torture
@pytest.mark.parametrize("number", range(4))
def test_who_waits_for_a_level_goes_on_where_its_trainer_died(tmp_path, tally, reference, number):
    _, expected = reference
    one, other = (compose([*WORDS, f"name={name}"]) for name in ("one", "other"))
    trainer = start_held(tmp_path, one, tmp_path / "gate", "one.txt")
    until(lambda: at_step_5(tmp_path))
    waiter = start(tmp_path, other, out="other.txt")
    until(lambda: "waiting to share it" in output(tmp_path, "other.txt"))
    before = assert_sound(tmp_path)
    os.kill(trainer, signal.SIGKILL)
    assert [wait(trainer), wait(waiter)] == [-signal.SIGKILL, 0], said(tmp_path)
    assert_sound(tmp_path, before)
    assert trained(tmp_path) == 2
    assert tensors(tmp_path) == {n: v for n, v in expected.items() if n.endswith(".safetensors")}
    tally("locks", 1)


def said(folder):
    return [path.read_text() for path in folder.glob("*.txt")]


def tensors(folder):
    return {n: v for n, v in bits(folder).items() if n.endswith(".safetensors")}


COMMANDS = ["ls", "show", "doctor", "oracles"]


@pytest.mark.torture
@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_at_any_moment(tmp_path, tally, command):
    plan = compose([*WORDS, "train.length=30ep"])
    child, looks = start(tmp_path, plan), 0
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        assert read(tmp_path, command) == "", output(tmp_path)
        looks += 1
        if ended:
            break
    assert os.waitstatus_to_exitcode(status) == 0, output(tmp_path)
    assert looks > 1
    tally("locks", 1)


@pytest.mark.torture
@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_between_any_two_changes(tmp_path, tally, reference, command):
    plan, expected = reference
    asking, ask = os.pipe()
    answer, answering = os.pipe()

    def before():
        os.close(asking)
        os.close(answering)  # the child goes on where the test has failed
        stop_at_changes(ask, answer)

    child, wrong = start(tmp_path, plan, before), []
    os.close(ask)
    os.close(answer)
    while os.read(asking, 1):
        wrong.append(read(tmp_path, command))
        os.write(answering, b".")
    os.close(asking)
    os.close(answering)
    assert wait(child) == 0, output(tmp_path)
    assert len(wrong) > 30
    assert not any(wrong), "\n".join(filter(None, wrong))
    assert_same(tmp_path, expected)
    tally("locks", 1)


def stop_at_changes(ask, answer):
    """Let this process stop after every rename and removal until it is answered."""
    guard = threading.Lock()

    def stopping(real):
        def change(*arguments, **settings):
            with guard:
                real(*arguments, **settings)
                os.write(ask, b".")
                os.read(answer, 1)

        return change

    os.replace, os.unlink = stopping(os.replace), stopping(os.unlink)


def read(folder, command):
    """Read a run while it is written; return what is wrong with it."""
    if command == "oracles":
        return "\n".join(torn(folder) + rows_once(folder))
    runs = list(folder.glob("outputs/*/*/replicate_0/run.json"))
    words = [str(path.parent) for path in runs if command == "show"]
    if command in ("show", "ls") and not runs:
        return ""
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        code = cli.main(["-v", command, *words, f"outputs={folder / 'outputs'}"])
    return heard.getvalue() if code or "damaged\n" in heard.getvalue() else ""


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(2))
def test_two_sweeps_over_the_same_runs(tmp_path, tally, seed):
    draw = random.Random(seed)
    for number in range(2):
        folder = tmp_path / f"sweep_{number}"
        children = []
        for order in ("0,1,2", "2,1,0"):
            words = ["run", "-m", *WORDS, f"replicate={order}"]
            out = f"{order}.txt"
            children.append(spawn(folder, partial(cli.main, ["-v", *words]), out=out))
            time.sleep(draw.choice((0, 0.05, 0.2)))
        codes = [wait(child) for child in children]
        assert set(codes) <= {0, 3}, said(folder)
        assert_sound(folder)
        assert trained(folder) == len(shelves(folder)) == 6
        records = [read_signed(path) for path in folder.glob("outputs/*/*/*/run.json")]
        assert [record["state"] for record in records] == ["done"] * 3
        tally("locks", 1)


@pytest.mark.torture
@pytest.mark.parametrize("left", [b"", b"{", b"[1]", b'{"pid": 1, "host": "elsewhere"}'])
def test_what_stands_beside_a_lock_decides_nothing(tmp_path, tally, reference, left):
    plan, expected = reference
    assert finish(tmp_path, plan, lambda: after_step(5, die)) == -signal.SIGKILL
    owners = [
        *tmp_path.glob("outputs/*/*/replicate_0/.owner"),
        *tmp_path.glob("outputs/store/*/.owner"),
    ]
    assert len(owners) == 2
    for path in owners:
        path.write_bytes(left)
    with FileLock(owners[0].with_name(".lock")):
        assert finish(tmp_path, plan) == 3
    assert "is being written by another process" in output(tmp_path)
    before = assert_sound(tmp_path)
    assert finish(tmp_path, plan) == 0, output(tmp_path)
    assert_same(tmp_path, expected, before)
    tally("locks", 1)


REFUSED = """
import sys
from lottery import cli
code = cli.main(sys.argv[1:])
print(code, "torch" in sys.modules)
"""


@pytest.mark.torture
@pytest.mark.parametrize("flags", [[], ["-m"]])
def test_a_second_command_is_refused_before_torch_is_imported(tmp_path, tally, reference, flags):
    plan, _ = reference
    child = start_held(tmp_path, plan, tmp_path / "gate")
    until(lambda: at_step_5(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, "run", *flags, *WORDS],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    (tmp_path / "gate").touch()
    assert wait(child) == 0
    assert done.stdout.splitlines()[-1] == "3 False", done.stdout + done.stderr
    assert holder(done.stderr) == (child, HOST)
    tally("locks", 1)

"""Processes that are forked begin as the shell would start them, and none outlives its starter."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lottery.errors import LotteryError
from lottery.machine.nursery import CAN_FORK, Nursery

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="nothing is forked on this platform")
CALLED = """
import atexit, json, os, signal, sys, threading, time

def main():
    atexit.register(print, "at the end")
    word = sys.argv[1]
    print(json.dumps([sys.argv, os.environ.get("MORE"), os.getpgid(0) == os.getpid(), os.getppid()]), flush=True)
    if word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "raise":
        raise ValueError("no")
    if word == "stay":
        time.sleep(60)
    print("to stderr", sys.stdin.read(), file=sys.stderr)
    threading.Thread(target=lambda: (time.sleep(0.2), print("of a thread"))).start()
    return 7
"""


@pytest.fixture
def nursery(tmp_path):
    (tmp_path / "called.py").write_text(CALLED)
    made = Nursery("called", ["json"], os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])})
    yield made
    made.close()


def end(child):
    deadline = time.monotonic() + 30
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return child.returncode


def gone(pid):
    """Wait for the end of a process that is no child of this one; say whether it came."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_a_child_has_words_variables_streams_and_a_group_of_its_own(nursery, tmp_path):
    log = tmp_path / "log"
    child = nursery.start(["word", "two words"], {"MORE": "x"}, log)
    assert end(child) == 7
    told, last, *late = log.read_text().splitlines()
    assert late == ["of a thread", "at the end"]  # nothing of what ends a process is left out
    assert told == f'[["lottery", "word", "two words"], "x", true, {nursery.process.pid}]'
    assert last == "to stderr "  # and nothing on stdin


def test_a_child_ends_well_where_stderr_is_closed(tmp_path):
    """As in a job of cron, or behind 2>&-: what is opened next would have its number."""
    (tmp_path / "called.py").write_text(CALLED)
    code = (
        "import os, pathlib, time\nos.close(2)\nfrom lottery.machine.nursery import Nursery\n"
        "n = Nursery('called', [], os.environ)\nchild = n.start(['word'], {}, pathlib.Path('log'))\n"
        "while child.poll() is None:\n    time.sleep(0.01)\nprint(child.returncode)\nn.close()\n"
    )
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | path,
                         stdout=subprocess.PIPE, text=True, timeout=60, check=False)  # fmt: skip
    assert ran.stdout == "7\n" and "to stderr" in (tmp_path / "log").read_text()


def test_several_at_a_time_end_as_they_end(nursery, tmp_path):
    words = ["kill", "raise", "word", "stay"]
    children = [nursery.start([word], {}, tmp_path / word) for word in words]
    assert [end(child) for child in children[:3]] == [-9, 1, 7]
    assert "ValueError: no" in (tmp_path / "raise").read_text()
    assert children[3].poll() is None
    children[3].send_signal(signal.SIGTERM)
    assert end(children[3]) == -15
    children[3].send_signal(signal.SIGTERM)  # to nobody, as it has ended
    children[3].kill()


def test_a_child_is_killed_with_all_that_it_started(nursery, tmp_path):
    child = nursery.start(["stay"], {}, tmp_path / "log")
    child.kill()
    assert end(child) == -9


def test_where_the_one_that_forks_is_killed_its_children_end_with_it(nursery, tmp_path):
    child = nursery.start(["stay"], {}, tmp_path / "log")
    os.kill(nursery.process.pid, signal.SIGKILL)
    assert end(child) == -9 and gone(child.pid)
    with pytest.raises(LotteryError, match="has ended .killed by SIGKILL.; type the same"):
        nursery.start(["word"], {}, tmp_path / "log")


def test_it_ends_with_the_process_that_started_it(tmp_path):
    (tmp_path / "called.py").write_text(CALLED)
    code = (
        "import os, pathlib\nfrom lottery.machine.nursery import Nursery\n"
        "n = Nursery('called', [], os.environ)\n"
        "n.start(['word'], {}, pathlib.Path('log'))\nprint(n.process.pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | path,
                         capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert ran.returncode == -9 and gone(int(ran.stdout)) and not ran.stderr


def test_nobody_waits_for_imports_that_are_for_nothing(tmp_path):
    (tmp_path / "called.py").write_text("import time\ntime.sleep(60)")
    made = Nursery("called", [], os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])})
    begun = time.monotonic()
    assert made.listen() and not made.ready
    made.close()
    assert time.monotonic() - begun < 30


def test_it_says_nothing_where_its_starter_is_killed_before_a_child_begins(tmp_path):
    (tmp_path / "called.py").write_text("import time\ntime.sleep(1)\nmain = print")
    code = (
        "import json, os\nfrom lottery.machine.nursery import Nursery\nn = Nursery('called', [], os.environ)\n"
        "n.process.stdin.write(json.dumps({'words': [], 'environment': {}, 'log': 'log'}) + '\\n')\n"
        "n.process.stdin.flush()\nos.kill(os.getpid(), 9)\n"
    )
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | path,
                         capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert ran.returncode == -9 and not ran.stderr

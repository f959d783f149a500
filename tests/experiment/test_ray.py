"""Jobs on a Ray that is really started here: a keeper that is killed, signals, what is refused."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from lottery.experiment import ray_place
from tests.experiment.test_pool import alive, tensors

WORDS = ["train.length=1500ep", "evaluate_every=500ep", "replicate=0,1", "levels=1", "checkpoint_every=0.2s"]


def sweep(tmp_path, words):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lottery", "run", "-m", *words]
    return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)  # fmt: skip


def at_work(tmp_path, parent):
    """Wait until two runs train; return the processes of both by the one that keeps each."""
    deadline = time.monotonic() + 240
    while parent.poll() is None and time.monotonic() < deadline:
        if len(checkpoints(tmp_path)) >= 2:
            break
        time.sleep(0.1)
    if parent.poll() is not None:
        out = parent.communicate()[0]
        if "Ray did not start" in out:
            pytest.skip(out.splitlines()[-1])
        pytest.fail(out)
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        words = command_of(pid)
        if "lottery\0run" in words and str(tmp_path) == place_of(pid):
            found[int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])] = pid
    found.pop(os.getpid(), None)
    assert len(found) == 2, found
    return found


def checkpoints(tmp_path):
    """Return the folders of levels at work that have a checkpoint."""
    return {path.parent for path in tmp_path.glob("outputs/**/checkpoint*.safetensors")}


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def place_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def all_gone(pids):
    deadline = time.monotonic() + 30
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(map(alive, pids))


@pytest.mark.slow
def test_a_run_whose_keeper_is_killed_goes_on_elsewhere_and_ends_as_alone(tiny, tmp_path, shell):
    words = [*tiny, *WORDS]
    with sweep(tmp_path, [*words, "workers=ray"]) as parent:
        kept = at_work(tmp_path, parent)
        keeper, run = next(iter(kept.items()))
        os.kill(keeper, signal.SIGKILL)
        out = parent.communicate(timeout=240)[0]
    assert parent.returncode == 0, out
    assert out.count("; again") == 1 and "sweep: 2 of 2 runs done" in out
    assert all_gone(kept.values())
    resumed = [json.loads(path.read_text())["resumed"] for path in tmp_path.glob("outputs/*/*/*/run.json")]
    assert sorted(map(len, resumed)) == [0, 1]
    there = tensors(tmp_path / "outputs")
    (tmp_path / "outputs").rename(tmp_path / "ray")
    assert shell("run", "-m", *words, "host.threads=1").returncode == 0
    assert tensors(tmp_path / "outputs") == there


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_sweep_that_is_ended_leaves_no_orphan_and_goes_on(tiny, tmp_path, shell, name):
    words = [*tiny, *WORDS]
    with sweep(tmp_path, [*words, "workers=ray"]) as parent:
        kept = at_work(tmp_path, parent)
        parent.send_signal(getattr(signal, name))
        out = parent.communicate(timeout=120)[0]
    assert parent.returncode == {"SIGINT": 130, "SIGTERM": 143, "SIGKILL": -9}[name], out
    assert all_gone([*kept, *kept.values()])  # Ray's own agents take a minute where it is killed
    assert checkpoints(tmp_path)
    again = shell("run", "-m", *words, "workers=2", "host.threads=1")
    assert again.returncode == 0 and "2 of 2 runs done" in again.stdout


def test_what_a_cluster_cannot_do_is_one_line(tiny, lottery, capsys, monkeypatch, tmp_path):
    words = ["run", "-m", *tiny, "replicate=0,1"]
    monkeypatch.setattr("lottery.experiment.ray_place.find_spec", lambda name: None)
    assert lottery(*words, "workers=ray") == 2
    assert "pip install 'lottery[ray]'" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert lottery(*words, "workers=rays") == 2
    assert "type a number of processes, auto, or ray" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "told"),
    [(b"HTTP/1.0 400 Bad", "says b'HTTP/1.0 ', which no Ray does"), (b"", "says b''"), (None, "timed out"), (b"\0\0\6\4\0\0\0\0\0", "")],
)  # fmt: skip
def test_who_listens_there_and_is_no_ray_is_told_from_it(monkeypatch, said, told):
    monkeypatch.setattr(ray_place, "KNOCK", 0.2 if said is None else 10)
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:

        def answer():
            one, _ = server.accept()
            with one:
                heard.append(one.recv(64))
                if said is None:
                    one.recv(1)  # until nobody waits any more
                else:
                    one.sendall(said)

        done = threads.submit(answer)
        with pytest.raises(OSError, match=re.escape(told)) if told else nullcontext():
            ray_place.knock(f"127.0.0.1:{server.getsockname()[1]}")
        done.result(10)
    assert heard[0].startswith(b"PRI * HTTP/2.0")


@pytest.mark.parametrize(
    ("typed", "named", "address"), [(None, "", "local"), (None, "auto", "auto"), ("auto", "x:1", "auto"), ("local", "x:1", "local")]
)  # fmt: skip
def test_without_an_address_a_cluster_is_started_whatever_ran_here_before(monkeypatch, typed, named, address):
    asked = {}
    fake = SimpleNamespace(is_initialized=lambda: False, init=lambda **words: asked.update(words))
    monkeypatch.setattr(ray_place, "the_library", lambda: fake)
    monkeypatch.setenv("RAY_ADDRESS", named)
    assert ray_place.start(typed)
    assert asked["address"] == address and asked["include_dashboard"] is (False if address == "local" else None)


def test_what_to_type_where_a_cluster_asks_for_a_token(monkeypatch):
    refused = ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert "type RAY_AUTH_MODE=token before the command" in ray_place.hint(refused)
    assert "type host.workers=ray:HOST:6379" in ray_place.hint(ConnectionRefusedError(111, "Connection refused"))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert "type host.workers=ray:HOST:6379" in ray_place.hint(refused)


@pytest.mark.slow
def test_a_cluster_that_is_not_there_or_too_small_is_one_line(tiny, shell, tmp_path, monkeypatch):
    told = shell("run", "-m", *tiny, "replicate=0,1", "workers=ray:127.0.0.1:1")
    assert told.returncode == 2 and "no Ray answers there" in told.stderr, told.stderr
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    told = shell("run", "-m", *tiny, "replicate=0,1", "workers=ray")
    assert told.returncode == 2 and "RAY_ADDRESS=127.0.0.1:1: no Ray answers there" in told.stderr, told.stderr
    monkeypatch.delenv("RAY_ADDRESS")
    told = shell("run", "-m", *tiny, "replicate=0,1", "workers=ray", "host.gpus_per_job=64")
    if "Ray did not start" in told.stderr:
        pytest.skip(told.stderr.splitlines()[-1])
    assert told.returncode == 2 and "no room for a job of 1 threads and 64 GPUs" in told.stderr, told.stderr
    assert not list(tmp_path.glob("outputs/*/*/replicate_*"))

"""A watch over made-up runs, and a server of its page in this process."""

import http.client
import json
import threading
from contextlib import contextmanager

import pytest

from lottery.progress import pulse
from lottery.results.watching.page import Page
from lottery.results.watching.server import Server
from lottery.results.watching.watch import Watch
from lottery.storage import locks, records

SIGN = {"level": 1, "levels": 3, "branch": "", "density": 0.8, "step": 30, "steps": 90, "left": 65.0,
        "row": {"step": 24, "epoch": 1.5, "val_accuracy": 0.25}, "curve": [(0, 0.1), (24, 0.25)]}  # fmt: skip


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


@pytest.fixture
def watching(outputs, monkeypatch, tmp_path):
    """Return a watch that looks at the disk whenever it is asked."""
    monkeypatch.chdir(tmp_path)

    def call(*words, **more):
        made = Watch(outputs, words, every=0.0, **more)
        made.begin()
        return made

    return call


@pytest.fixture
def say():
    """Write other things into the run.json of a run."""

    def call(folder, **other):
        record = {k: v for k, v in records.read_run(folder).items() if k != "sha256"}
        (folder / "run.json").write_text(json.dumps(records.signed({**record, **other})))

    return call


@pytest.fixture
def at_work(say):
    """Let a run be at work: it says so, its lock is held, and it leaves a sign."""

    @contextmanager
    def call(folder, **sign):
        say(folder, state="running")
        with locks.lock(folder / ".lock"):
            pulse.Pulse(folder).beat(SIGN | sign)
            yield

    return call


@pytest.fixture
def served(watching):
    """Serve the page of a watch; ask it as a browser would."""
    servers = []

    def call(*words):
        watch = watching(*words)
        server = Server(0, watch, Page(watch.outputs, words, every=0.1))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)

        def ask(path="", method="GET", whole=False, **headers):
            there = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
            place = path if whole else f"/{server.token}/{path}"
            there.request(method, place, headers=headers)
            answer = there.getresponse()
            answer.body = answer.read()
            there.close()
            return answer

        ask.server = server
        return ask

    yield call
    for server in servers:
        server.shutdown()
        server.server_close()

"""`lottery watch` prints where its page is, serves it, and ends without a trace."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from lottery.commands import watch
from lottery.errors import Terminated

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/[\w-]{32,}/")
HEAVY = """
import sys
from lottery.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "torchvision", "hydra", "omegaconf", "pandas", "matplotlib"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""


@pytest.fixture
def start(tmp_path):
    """Start the command in its own process; return it and the address that it prints."""
    processes = []

    def call(*words, code=None, stdout=subprocess.PIPE):
        own = ["-c", code] if code else ["-m", "lottery"]
        process = subprocess.Popen(
            [sys.executable, *own, "watch", *words], cwd=tmp_path, stdout=stdout, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
        return process, process.stdout.readline().strip() if process.stdout else ""

    yield call
    for process in processes:
        process.kill()
        process.communicate()


def data(address, query="data"):
    with urllib.request.urlopen(f"{address}{query}", timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)])
def test_it_serves_until_it_is_asked_to_end_and_imports_nothing_heavy(fabricate, start, number, code):
    for k in range(2):
        fabricate(replicate=k)  # with an interval
    process, address = start(code=HEAVY)
    port = int(ADDRESS.fullmatch(address)[1])
    assert data(address)["counts"] == {"done": 2}
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert b"<title>outputs: lottery watch</title>" in answer.read()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert err.splitlines()[0] == "open it in a browser on this machine; Ctrl-C ends it"
    assert "Traceback" not in err and "imported" not in err
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


@pytest.mark.slow
def test_who_reads_the_address_alone_has_the_page_all_the_same(fabricate, start):
    fabricate()
    process, address = start()
    process.stdout.close()  # as head -1 does
    assert data(address)["counts"] == {"done": 1}
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_two_may_watch_the_same_and_one_that_is_killed_leaves_nothing(fabricate, start, tmp_path):
    fabricate()
    before = sorted(tmp_path.rglob("*"))
    (one, first), (_, second) = start(), start()
    assert first != second
    one.kill()
    one.wait()
    assert data(second)["counts"] == {"done": 1}
    assert sorted(tmp_path.rglob("*")) == before
    port = ADDRESS.fullmatch(first)[1]
    _, again = start(f"port={port}")
    assert ADDRESS.fullmatch(again)[1] == port
    with pytest.raises(urllib.error.HTTPError, match="404"):
        data(first)  # that of a server before


def test_a_port_in_use_is_a_line(lottery, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert lottery("watch", f"port={port}") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"lottery: watch: port {port} is in use; type port=0 for one that is free\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["port=x"], "watch: port=x is no port; type a number up to 65535, or port=0 for one that is free"),
        (["port=70000"], "watch: port=70000 is no port"), (["port=-1"], "watch: port=-1 is no port"),
        (["port=٣"], "is no port"), (["outputs=nowhere"], "watch: there is no folder nowhere"),
        (["--port", "80"], "type port=80"), (["prot=80"], "did you mean 'port'"),
        (["mien"], "watch: 'mien' names no run"), (["prune=imp,random", "snip"], "watch: 'snip' names no run"),
        (["test>x"], "'test>x' compares with no number"),
    ],
)  # fmt: skip
def test_what_is_mistyped_is_a_line(lottery, fabricate, capsys, words, line):
    fabricate(name="mine")
    assert lottery("watch", *words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert line in err


def test_a_port_that_is_not_for_everyone_is_a_line(lottery, capsys, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lottery.results.watching.server.Server.server_bind", refused)
    assert lottery("watch", "port=80") == 2
    assert "port 80 is not for everyone" in capsys.readouterr().err


def test_what_fits_no_run_yet_is_said_and_waited_for(lottery, fabricate, capsys, monkeypatch):
    def end(server):
        raise KeyboardInterrupt

    monkeypatch.setattr("lottery.results.watching.server.Server.serve_forever", end)
    fabricate()
    assert lottery("watch", "state=failed") == 130
    out, err = capsys.readouterr()
    assert ADDRESS.fullmatch(out.strip())
    assert err.splitlines()[0] == "lottery: no run with state=failed yet; state is done"


def test_it_ends_in_the_midst_of_requests(fabricate, tmp_path, monkeypatch):
    """TERM comes where it comes; the port is given back, and no request is in the way."""
    fabricate()
    monkeypatch.chdir(tmp_path)
    from lottery.results.watching.watch import Watch

    made = Watch(tmp_path / "outputs", (), every=0)
    made.begin()
    server = watch.opened(made, 0)
    address, found = server.address, []

    def many():
        while True:
            try:
                found.append(data(address)["counts"])
            except OSError:
                return

    threads = [threading.Thread(target=many) for _ in range(4)]

    def enough():
        if len(found) > 40:
            raise Terminated

    server.service_actions = enough
    for thread in threads:
        thread.start()
    with pytest.raises(Terminated), server:
        server.serve_forever()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert found[0] == {"done": 1}
    with pytest.raises(OSError, match="refused"):
        data(address)


@pytest.mark.slow
def test_a_folder_that_goes_while_it_is_watched(fabricate, start, tmp_path):
    fabricate()
    process, address = start()
    version = data(address)["version"]
    os.rename(tmp_path / "outputs", tmp_path / "aside")
    found = data(address, f"data?since={version}")
    while not found["gone"]:  # a look a second
        found = data(address, f"data?since={version}")
    assert found["none"] == "there are no runs under outputs; start one: lottery run"
    assert process.poll() is None


def test_the_folder_of_the_command_goes_while_it_serves(fabricate, watching_elsewhere):
    """Paths are said from there, and there is no such place any more."""
    watch, gone = watching_elsewhere
    gone.rmdir()
    fabricate(record={"state": "failed", "log": ".sweeps/0123456789/0.log"})
    (row,) = watch.since(0)["rows"]
    assert (row["state"], row["again"]) == ("failed", "")
    assert row["log"].endswith("outputs/.sweeps/0123456789/0.log")


@pytest.fixture
def watching_elsewhere(tmp_path, monkeypatch):
    from lottery.results.watching.watch import Watch

    gone = tmp_path / "gone"
    gone.mkdir()
    (tmp_path / "outputs" / ".sweeps" / "0123456789").mkdir(parents=True)
    (tmp_path / "outputs" / ".sweeps" / "0123456789" / "0.log").write_text("lottery: x\n")
    monkeypatch.chdir(gone)
    return Watch(tmp_path / "outputs", (), every=0), gone

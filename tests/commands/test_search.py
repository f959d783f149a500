"""lottery search as typed: refusals before anything is trained, real runs, kills."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from lottery import cli
from lottery.experiment import pool
from lottery.machine.slots import Slots
from lottery.results.facts import Facts

LR = "space.lr=log:0.001:0.5"


class Here:
    """A place that runs each job in this process."""

    def __init__(self, host, logs):
        self.slots, self.threads = Slots([], 0, 1), 1

    def start(self, words, environment, threads, slot, log):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            code = cli.main(list(words))
        return SimpleNamespace(returncode=code, poll=lambda: code, kill=lambda: None)

    def ready(self, threads):
        return True

    def wait(self, seconds):
        pass

    def close(self):
        pass


@pytest.fixture
def search(lottery, tiny, monkeypatch, capsys):
    """Search in this process; return the exit code, the output and the errors."""
    monkeypatch.setattr(pool, "place_of", Here)

    def call(*words):
        code = lottery("search", *tiny, *words)
        return code, *capsys.readouterr()

    return call


def test_a_search_finds_runs_that_are_like_any_others(search, tmp_path, capsys):
    code, out, err = search("space.momentum=0.8,0.9", LR, "trials=2", "levels=1")
    assert code == 0, err
    assert out.index("rank  trial  val_accuracy  state") < out.index("best: trial ")
    folders = list(tmp_path.glob("outputs/search_lenet_300_100_synthetic_imp/*/replicate_0"))
    assert len(folders) == 2
    assert {Facts(folder).record["state"] for folder in folders} == {"done"}
    command = re.search(r"^  (lottery run .*)$", out, re.M)[1]
    assert command in {Facts(folder).record["command"] for folder in folders}
    shown = re.search(r"(lottery show \S+)$", out, re.M)[1].split()
    assert cli.main(shown[1:]) == 0 and capsys.readouterr().out.startswith(str(tmp_path))
    code, again, err = search("space.momentum=0.8,0.9", LR, "trials=2", "levels=1", "format=json")
    assert [row["rank"] for row in json.loads(again)["trials"]] == [1, 2] and "best: trial" in err
    assert code == 0 and "2 of 2 trials are over; trials=12 does more" in err
    code, _, err = search("space.momentum=0.8,0.7", LR, "trials=2", "levels=1")
    assert code == 2 and "search.journal is of another search (space.train.optimizer.momentum is 0.8,0.9 there, 0.8,0.7 asked)" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["space.train.optimizer.lrr=0:1"], "did you mean 'lr'?"), (["space.prune=imp,snop"], "with prune=snop: prune: there is no 'snop'; did you mean 'snip'?"),
        (["space.train.zzz=1,2"], "there is no setting 'train.zzz'"), ([LR, "zzz=1"], "there is no setting 'zzz'"),
        ([LR, "modle=x"], "did you mean 'model'"), (["space.schedule.keep=0.5,x"], "with schedule.keep=x"),
        ([LR, "goal=test_accuracy"], "test data in a choice"), ([LR, "dataset.validation=0"], "type dataset.validation=N"),
        ([LR, "replicate=0,0"], "replicate=0,0 names one twice"), ([LR, "replicate=0,x"], "no whole number"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_trained(search, tmp_path, words, said):
    code, _, err = search(*words)
    assert code == 2 and said in err and err.count("\n") == 1, err
    assert not (tmp_path / "outputs").exists()


def test_optuna_is_missed_in_one_line(search, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = search(LR)
    assert (code, err) == (2, "lottery: search: optuna is not installed; type: pip install 'lottery[optuna]'\n")


def test_help_needs_no_optuna(lottery, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert lottery("search", "--help") == 0
    assert "space.KEY=VALUES" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sp", ["space."]), ("at=", ["at=last", "at=best", "at=area"]), ("tri", ["trials="]),
        ("space.lr=0:1 trials=3 space.prune=imp,sni", [f"space.prune=imp,{n}" for n in ("snip", "snip_iterative", "snip_original")]),
        ("space.mod", ["space.model.", "space.model="]), ("trials=2 model=resnet2", ["model=resnet20"]), ("space.repl", []),
    ],
)  # fmt: skip
def test_completion(lottery, capsys, monkeypatch, line, expected):
    monkeypatch.setenv("COMP_LINE", f"lottery search {line}")
    monkeypatch.setenv("COMP_POINT", str(len(line) + len("lottery search ")))
    assert lottery("-sc", "query=bash") == 0
    assert sorted(capsys.readouterr().out.split()) == sorted(expected)


def told(text):
    """Return what each trial came to, in order; the exact words."""
    return sorted(re.findall(r"^trial \d+ .*$", text, re.M))


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on(tiny, shell, tmp_path):
    words = ["search", *tiny, LR, "trials=8", "at=area"]
    whole = shell(*words, "outputs=whole")
    assert whole.returncode == 0, whole.stderr
    killed = [sys.executable, "-m", "lottery", *words]
    journal = tmp_path / "outputs/search_lenet_300_100_synthetic_imp/search.journal"
    for seen in (2, 5, 7):
        process = subprocess.Popen(killed, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while (journal.read_text().count('"op_code":4') if journal.exists() else 0) < seen and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    went_on = shell(*words)
    assert went_on.returncode == 0, went_on.stderr

    def table(done):
        return re.sub(r" {2,}\S+/search_\S+", "", done.stdout[: done.stdout.index("best: ")])

    assert table(went_on) == table(whole)
    assert journal.read_text().count('"op_code":4') == 8, "no trial was begun twice"


@pytest.mark.slow
def test_two_searches_at_once_and_ctrl_c(tiny, shell, tmp_path):
    words = ["search", *tiny, LR, "trials=30", "host.workers=2", "train.length=40ep"]
    process = subprocess.Popen([sys.executable, "-m", "lottery", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "outputs/search_lenet_300_100_synthetic_imp/search.journal"
    deadline = time.monotonic() + 120
    while not (journal.exists() and '"op_code":4' in journal.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    second = shell(*words)
    assert second.returncode == 3 and f"is being written by process {process.pid} on" in second.stderr
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped; to go on from here: lottery search" in said
    assert "failed" not in said
    assert shell("doctor").returncode == 0


@pytest.mark.slow
def test_a_search_of_diverging_runs_ends_with_their_exit_code(tiny, shell):
    done = shell("search", *tiny, "space.lr=1e30:1e31", "train.on_nan=stop", "trials=9")
    assert done.returncode == 6
    assert "5 trials failed one after the other: training diverged" in done.stderr
    assert len(told(done.stderr)) == 5


@pytest.mark.slow
def test_a_search_may_have_a_terminal_that_goes_away(tiny, tmp_path):
    if shutil.which("head") is None:
        pytest.skip("there is no head")
    command = [sys.executable, "-m", "lottery", "search", *tiny, LR, "trials=2"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert "Traceback" not in said and process.returncode in (0, 5)

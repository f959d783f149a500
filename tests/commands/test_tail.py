"""`lottery tail` prints what is there and what comes, and ends when the run does."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lottery.commands import tail
from lottery.progress import pulse
from lottery.results import living
from lottery.storage import locks, records
from lottery.storage.files import digest

HEAVY = """
import sys
from lottery.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "torchvision", "hydra", "omegaconf"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""


def sign(folder, **other):
    news = {
        "level": 2,
        "levels": 2,
        "branch": "",
        "density": 0.64,
        "step": 3,
        "steps": 12,
        "left": 65.0,
    }
    pulse.Pulse(folder).beat(
        {**news, "row": {"step": 0, "epoch": 0.5, "val_accuracy": 0.25}, **other}
    )


def say(folder, **other):
    record = {k: v for k, v in records.read_run(folder).items() if k != "sha256"}
    (folder / "run.json").write_text(json.dumps(records.signed({**record, **other})))


@pytest.fixture
def steps(monkeypatch):
    """Do one thing after another where the command waits."""
    todo = []

    def sleep(_):
        assert todo, "it waits for ever"
        todo.pop(0)()

    monkeypatch.setattr(tail, "sleep", sleep)
    return todo


def test_a_run_that_is_done_is_shown_whole(run, lottery, capsys):
    folder = run()
    capsys.readouterr()
    assert lottery("tail", folder.parent.name) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("replicate_0")
    assert [line.split()[0] for line in lines[1:-1]] == ["level", "0", "1", "2"]
    assert lines[-1].startswith("done after ")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"state": "failed", "error": "it broke"}, "failed; it broke; to go on: lottery run"),
        (
            {"state": "stopped", "error": "stopped; to go on from here: x"},
            "stopped; to go on: lottery run",
        ),
        (
            {"state": "stopped", "error": "interrupted at once, by a second signal"},
            "stopped; interrupted at once, by a second signal; to go on: lottery run",
        ),
        ({"state": "running"}, "killed; to go on: lottery run"),
    ],
)
def test_a_run_that_is_not_at_work_says_how_it_stands(fabricate, lottery, capsys, said, line):
    fabricate(record=said)
    assert lottery("tail", "lenet_300_100_digits_imp") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(line)


def test_a_run_at_work_is_followed_to_its_end(run, lottery, capsys, steps):
    folder = run("levels=1")
    say(folder, state="running")
    capsys.readouterr()
    guard = locks.lock(folder / ".lock")
    guard.__enter__()

    def next_row():
        sign(
            folder,
            step=7,
            row={"step": 4, "epoch": 1, "train_loss": 0.5, "val_accuracy": 0.5},
            left=None,
        )

    def next_level():
        run_levels(folder, 2)

    def end():
        guard.__exit__(None, None, None)
        say(folder, state="done")

    steps += [lambda: sign(folder), lambda: None, next_row, next_level, end]
    assert lottery("tail") == 0  # the only one that is at work
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["level", "0", "1"]
    assert lines[4:6] == [
        "level 2/2  density 0.64  step 3/12  epoch 0.5  val 0.2500  run 1:05 left",
        "level 2/2  density 0.64  step 7/12  epoch 1  loss 0.5000  val 0.5000",
    ]
    assert lines[6].split()[:2] == ["2", "0.6400"]
    assert lines[7].startswith("done after ")


def run_levels(folder, last):
    """Enter one more level into metrics.csv, as the run would."""
    manifest = records.read_manifest(folder)
    head, *rows = (folder / "metrics.csv").read_text().splitlines()
    named = dict(zip(head.split(","), rows[-1].split(",")))
    row = {**named, "level": str(last), "density": "0.64"}
    text = "\n".join([head, *rows, ",".join(row[name] for name in head.split(","))]) + "\n"
    files = manifest["files"] | {"metrics.csv": [digest(text.encode())]}
    body = {key: manifest[key] for key in ("run", "levels")} | {"files": files}
    (folder / "manifest.json").write_text(json.dumps(records.signed(body)))
    (folder / "metrics.csv").write_text(text)


def test_the_step_is_shown_now_and_then_where_no_row_comes(
    run, lottery, capsys, steps, monkeypatch
):
    folder = run("levels=0")
    say(folder, state="running")
    monkeypatch.setattr(tail, "QUIET", 0.0)
    with locks.lock(folder / ".lock"):
        sign(folder)
        steps += [lambda: sign(folder, step=5), lambda: say(folder, state="stopped", error="x")]
        capsys.readouterr()
        assert lottery("tail", folder) == 0
    out = capsys.readouterr().out
    assert "step 3/12" in out
    assert "step 5/12" in out


def test_a_run_on_another_machine_is_told_by_its_sign(run, lottery, capsys, steps):
    """Its lock is not seen from here."""
    folder = run("levels=0")
    say(folder, state="running")
    sign(folder)

    def elsewhere(age):
        said = json.loads((folder / pulse.NAME).read_text())
        (folder / pulse.NAME).write_text(
            json.dumps({**said, "host": "elsewhere", "at": time.time() - age})
        )

    elsewhere(1)
    steps += [lambda: None, lambda: elsewhere(2 * pulse.FRESH)]
    capsys.readouterr()
    assert lottery("tail") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "step 3/12" in lines[-2]
    assert lines[-1].startswith("killed; to go on: ")


def test_a_search_for_a_mask_has_no_steps():
    said = {"level": 1, "levels": 2, "branch": "", "density": 0.8, "step": 1234, "steps": 0,
            "left": None, "row": {}}  # fmt: skip
    assert living.line(said) == "level 1/2  density 0.8  scoring for a mask, 1,234 batches"


def test_ctrl_c_leaves_quietly(run, lottery, capsys, steps):
    folder = run("levels=0")
    say(folder, state="running")

    def interrupt():
        raise KeyboardInterrupt

    steps.append(interrupt)
    capsys.readouterr()
    with locks.lock(folder / ".lock"):
        assert lottery("tail", folder) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tail", "no runs are at work under outputs; name the one to follow"),
        ("tail nothing", "tail: 'nothing' names no run"),
        ("tail x every=0", "every=0 is no number of seconds above 0"),
        ("tail x every=often", "every=often is no number"),
        ("tail x evry=1", "evry"),
        ("tail --nope", "--nope"),
    ],
)
def test_what_is_wrong_is_one_line(fabricate, lottery, capsys, line, said):
    fabricate()
    assert lottery(*line.replace(" x", " aaaa").split()) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_damaged_run_has_an_exit_code_of_its_own(fabricate, lottery, capsys):
    folder = fabricate()
    (folder / "run.json").write_text("{}")
    assert lottery("tail", "aaaa") == 4
    assert "\ndamaged\n" not in capsys.readouterr().out


def test_what_to_type_names_the_outputs_of_the_run(fabricate, lottery, capsys, tmp_path, monkeypatch):
    typed = "lottery run prune=imp 'name=a b'"
    for k, more in enumerate(("", " outputs=outputs", " outputs=elsewhere/out")):
        fabricate(replicate=k, record={"state": "running", "command": typed + more})
    whole = f"killed; to go on: {typed} outputs={tmp_path}/outputs"
    for place, ends in ((tmp_path, [typed, f"{typed} outputs=outputs", typed]), ("/", [whole] * 3)):
        monkeypatch.chdir(place)
        for k, end in enumerate(ends):
            assert lottery("tail", f"aaaa/replicate_{k}", f"outputs={tmp_path}/outputs") == 0
            assert capsys.readouterr().out.splitlines()[-1].endswith(end)


def test_what_a_record_says_is_printable(fabricate, lottery, capsys):
    said = {"error": "\x1b[2Jgone", "command": "lottery run\n\x1b[31m"}
    folder = fabricate(record={"state": "failed", **said})
    assert lottery("tail", folder) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_it_imports_neither_torch_nor_hydra(fabricate, tmp_path):
    folder = fabricate()
    for words in (["--help"], [str(folder)]):
        done = subprocess.run(
            [sys.executable, "-c", HEAVY, "tail", *words],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.slow
def test_two_real_processes(tmp_path, tiny):
    def start(*words):
        return subprocess.Popen(
            [sys.executable, "-m", "lottery", *words], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    trained = start("run", *tiny, "train.length=1000000it", "evaluate_every=200it")
    until = time.monotonic() + 300
    while not list(tmp_path.glob(f"outputs/*/*/*/{pulse.NAME}")):
        assert trained.poll() is None, trained.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)
    follower = start("tail", "every=0.2")
    lines = [follower.stdout.readline() for _ in range(3)]
    trained.send_signal(signal.SIGINT)
    rest, error = follower.communicate(timeout=300)
    trained.communicate(timeout=300)
    assert error == ""
    assert lines[1].startswith("level 0/2  density 1  step ")
    assert " left" in lines[2]
    assert rest.splitlines()[-1].startswith("stopped; to go on: lottery run")
    assert follower.returncode == 0
    assert trained.returncode == 130

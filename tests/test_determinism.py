"""Equal bits: what host.deterministic sets, what it refuses, and what another environment does."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from lottery.machine import environment
from lottery.storage.records import read_signed

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Leave torch as it was."""
    monkeypatch.setenv(CUBLAS, "")  # so that it is put back
    monkeypatch.delenv(CUBLAS)
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False


@pytest.fixture
def elsewhere(monkeypatch):
    """Let this machine be another one from here on."""
    return lambda: monkeypatch.setattr(environment, "platform", SimpleNamespace(machine=lambda: "vax"))


def bits(outputs):
    """Return what the levels under outputs hold, by file."""
    found = {}
    for path in sorted(outputs.glob("store/*/*")):
        if path.suffix in (".safetensors", ".csv"):
            found[f"{path.parent.name}/{path.name}"] = path.read_bytes()
    return found


def one_line(text):
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_what_is_set_and_what_is_taken_back(run):
    run("host.deterministic=true", "levels=0")
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.deterministic
    assert os.environ[CUBLAS] == ":4096:8"
    run("levels=0", "name=without")
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


def test_the_workspace_that_a_user_chose_stays(monkeypatch):
    monkeypatch.setenv(CUBLAS, ":16:8")
    environment.set_up(None, True)
    assert os.environ[CUBLAS] == ":16:8"


@pytest.mark.parametrize(
    "net", [[], ["model=resnet20", "model.depth=8", "model.width=4", "dataset.size=8"]], ids=["lenet", "resnet"]
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_cpu_gives_the_same_bits_twice_and_with_the_flag(run, tmp_path, net, precision):
    for name, flag in (("one", "true"), ("two", "true"), ("three", "false")):
        words = [*net, f"train.precision={precision}", f"host.deterministic={flag}", "levels=1"]
        run(*words, f"outputs={tmp_path / name}")
    first = bits(tmp_path / "one")
    assert len(first) == 8
    assert first == bits(tmp_path / "two") == bits(tmp_path / "three")


def test_it_is_no_part_of_what_a_run_is_but_stands_in_its_record(run, lottery, tiny, capsys):
    folder = run("levels=0")
    assert read_signed(folder / "run.json")["environment"]["deterministic"] is None
    capsys.readouterr()
    assert lottery("run", *tiny, "levels=1", "host.deterministic=true") == 0
    said = capsys.readouterr()
    assert "1 trained, 0 shared, 1 already there" in said.out
    assert "environment" not in said.err  # on the CPU the bits are the same, and nothing is to be said
    record = read_signed(folder / "run.json")
    assert (record["environment"]["deterministic"], record["drift"]) == (None, [])


def blind_put(*_):
    """Do what torch has no deterministic algorithm for, on any device."""
    return torch.zeros(2).put_(torch.tensor([0, 0]), torch.ones(2)).sum()


@pytest.mark.parametrize("place", ["loss", "evaluate"])
def test_an_operation_without_a_deterministic_algorithm_is_one_line(
    lottery, tiny, capsys, monkeypatch, place
):
    from lottery.tasks.images.images import ImageTask

    plain = getattr(ImageTask, place)
    monkeypatch.setattr(ImageTask, place, lambda *words: (blind_put(), plain(*words))[1])
    assert lottery("run", *tiny, "levels=0") == 0
    capsys.readouterr()
    words = [*tiny, "levels=0", "outputs=refused", "host.deterministic=true"]
    assert lottery("run", *words) == 2
    said = one_line(capsys.readouterr().err)
    assert "host.deterministic" in said
    assert "put_" in said
    assert "host.deterministic=false" in said


def test_another_environment_is_a_warning_and_stands_in_the_record(run, lottery, tiny, capsys, elsewhere):
    folder = run("levels=1")
    here = read_signed(folder / "run.json")["environment"]["machine"]
    before = bits(folder.parents[2])
    elsewhere()
    capsys.readouterr()
    assert lottery("run", *tiny, "levels=1") == 0
    said = capsys.readouterr().err
    assert f"machine {here} -> vax" in said
    record = read_signed(folder / "run.json")
    assert record["environment"]["machine"] == "vax"
    assert [line.split(": ", 1)[1] for line in record["drift"]] == [f"machine {here} -> vax"]
    assert bits(folder.parents[2]) == before
    assert lottery("run", *tiny, "levels=1") == 0
    assert read_signed(folder / "run.json")["drift"] == record["drift"]


def test_strict_refuses_to_go_on_in_another_environment(run, lottery, tiny, capsys, elsewhere):
    folder = run("levels=1", "strict=true")
    outputs = folder.parents[2]
    here = read_signed(folder / "run.json")["environment"]["machine"]
    assert lottery("run", *tiny, "levels=1", "strict=true") == 0
    before = {p: p.read_bytes() for p in outputs.rglob("*") if p.is_file()}
    elsewhere()
    capsys.readouterr()
    assert lottery("run", *tiny, "levels=1", "strict=true") == 2
    said = one_line(capsys.readouterr().err)
    assert f"machine {here} -> vax" in said
    assert "strict=false" in said
    assert {p: p.read_bytes() for p in outputs.rglob("*") if p.is_file()} == before


def test_strict_is_no_part_of_what_a_run_is(run, lottery, tiny, capsys):
    folder = run("levels=0")
    capsys.readouterr()
    assert lottery("run", *tiny, "levels=0", "strict=true") == 0
    assert "0 trained, 0 shared, 1 already there" in capsys.readouterr().out
    assert len([*folder.parents[2].glob("*/*/replicate_*")]) == 1


def test_strict_refuses_a_level_that_another_run_trained_elsewhere(run, lottery, tiny, capsys, elsewhere):
    run("levels=0", "name=first")
    elsewhere()
    capsys.readouterr()
    assert lottery("run", *tiny, "levels=0", "name=second", "strict=true") == 2
    said = one_line(capsys.readouterr().err)
    assert "-> vax" in said
    assert "strict=false" in said
    assert lottery("run", *tiny, "levels=0", "name=second") == 0


def test_a_checkpoint_knows_where_it_was_made(run, lottery, tiny, tmp_path, capsys, monkeypatch, elsewhere):
    """A power cut in the middle of level 0: strict refuses the rest elsewhere, else it is noted."""
    from lottery.training import loop

    class PowerCut(BaseException):
        pass

    plain = loop.note_broken_

    def cut(training, trained, loss):
        plain(training, trained, loss)
        if training.step == 10:
            raise PowerCut

    words = [*tiny, "levels=0", "checkpoint_every=4it"]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "note_broken_", cut)
        with pytest.raises(PowerCut):
            lottery("run", *words)
    (left,) = tmp_path.glob("outputs/store/*/checkpoint-8-*")
    elsewhere()
    capsys.readouterr()
    assert lottery("run", *words, "strict=true") == 2
    assert "-> vax" in one_line(capsys.readouterr().err)
    assert left.exists()
    assert lottery("run", *words) == 0
    (manifest,) = tmp_path.glob("outputs/store/*/manifest.json")
    made = json.loads(manifest.read_text())
    assert made["environment"]["machine"] == "vax"
    (noted,) = made["drift"]
    assert noted.startswith("step 8: machine ")
    assert noted.endswith(" -> vax")
    here = tmp_path / "here"
    with monkeypatch.context() as patch:
        patch.undo()
        assert lottery("run", *words, f"outputs={here}") == 0
    assert bits(here) == bits(tmp_path / "outputs")


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [({"threads": 1, "gpu": None}, {"threads": 1, "gpu": None}, []),
     ({"threads": 1}, {"threads": 2, "new": 1}, ["threads 1 -> 2"]),
     ({}, {"threads": 2}, [])],
)  # fmt: skip
def test_what_only_one_of_two_environments_knows_is_no_difference(before, now, said):
    assert environment.differences(before, now) == said


CUDA = [
    "host.device=cuda", "host.deterministic=true", "host.progress=none", "model=resnet20",
    "model.depth=8", "model.width=8", "dataset=synthetic", "dataset.examples=320",
    "dataset.test_examples=80", "dataset.validation=64", "dataset.classes=4", "dataset.channels=3",
    "dataset.size=16", "train.batch_size=32", "train.optimizer.momentum=0.9",
]  # fmt: skip


@pytest.fixture
def cuda():
    """Skip where there is no CUDA device."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("layout", ["yes", "no"])
def test_a_gpu_gives_the_same_bits_twice(cuda, shell, tmp_path, precision, layout):
    """Each in a process of its own: cuBLAS reads its workspace once, when CUDA starts."""
    words = [*CUDA, f"train.precision={precision}", f"train.channels_last={layout}",
             "train.length=4ep", "levels=2", "prune=snip"]  # fmt: skip
    for name in ("one", "two"):
        done = shell("run", *words, f"outputs={tmp_path / name}")
        assert done.returncode == 0, done.stdout + done.stderr
    first = bits(tmp_path / "one")
    assert len(first) == 12
    assert first == bits(tmp_path / "two")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_run_that_was_stopped_ends_with_the_same_bits(cuda, shell, tmp_path, precision):
    words = [*CUDA, f"train.precision={precision}", "train.length=300ep", "evaluate_every=50ep",
             "checkpoint_every=40it", "levels=0"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "lottery", "run", *words],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # as shell: threads are part of the environment
    )  # fmt: skip
    until = time.monotonic() + 300
    while not [*tmp_path.glob("outputs/store/*/checkpoint-*")]:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 143, said
    resumed = shell("run", *words)
    assert resumed.returncode == 0, resumed.stderr
    whole = shell("run", *words, f"outputs={tmp_path / 'whole'}")
    assert whole.returncode == 0, whole.stderr
    first = bits(tmp_path / "outputs")
    assert len(first) == 4
    assert first == bits(tmp_path / "whole")


@pytest.mark.gpu
def test_a_gpu_is_named_in_the_environment(cuda, shell, tmp_path):
    assert shell("run", *CUDA, "train.length=1ep", "levels=0").returncode == 0
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    found = read_signed(folder / "run.json")["environment"]
    assert found["device"] == "cuda"
    assert found["gpu"] == torch.cuda.get_device_name()
    assert found["deterministic"] is True

"""The sign of life: there while a run is at work, gone after it, and never a reason to fail."""

import errno
import fcntl
import json
import os
import socket
import time

import pytest

from lottery.progress import pulse
from lottery.progress.bars import Progress, measured
from lottery.storage import locks, records
from lottery.terms.metric import ACCURACY
from lottery.upkeep.inventory import Inventory

NEWS = {
    "level": 1,
    "levels": 5,
    "branch": "",
    "density": 0.8,
    "step": 30,
    "steps": 90,
    "left": 12.5,
}
ROW = {"step": 30, "epoch": 1.0, "train_loss": 0.5}


def beat(folder, **other):
    pulse.Pulse(folder).beat({**NEWS, "row": ROW, **other})


def forge(folder, **other):
    said = json.loads((folder / pulse.NAME).read_text())
    (folder / pulse.NAME).write_text(json.dumps({**said, **other}))


def test_what_is_written_is_read_while_the_lock_is_held(tmp_path):
    assert pulse.read(tmp_path) is None
    with locks.lock(tmp_path / ".lock"):
        beat(tmp_path)
        said = pulse.read(tmp_path)
        assert {key: said[key] for key in NEWS} == NEWS
        assert said["row"] == ROW
        assert said["host"] == socket.gethostname()
        assert 0 <= pulse.age(said) < 60
    assert pulse.read(tmp_path) is None  # nobody holds the lock: its process is gone


def test_numbers_that_are_not_finite_are_left_out_of_the_row(tmp_path):
    with locks.lock(tmp_path / ".lock"):
        beat(tmp_path, row={"step": 0, "train_loss": float("nan")}, left=None)
        said = pulse.read(tmp_path)
    assert said["row"] == {"step": 0}
    assert said["left"] is None


@pytest.mark.parametrize(("age", "seen"), [(5, True), (-5, True), (pulse.FRESH + 5, False)])
def test_a_sign_from_another_machine_counts_while_it_is_fresh(tmp_path, age, seen):
    beat(tmp_path)
    forge(tmp_path, host="elsewhere", at=time.time() - age)
    assert bool(pulse.read(tmp_path)) is seen


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "[" * 100_000, '{"level": 1}', '{"host": "elsewhere"}', "x" * (pulse.LONGEST + 1)],
)  # fmt: skip
def test_nonsense_is_no_sign(tmp_path, text):
    (tmp_path / pulse.NAME).write_text(text)
    with locks.lock(tmp_path / ".lock"):
        assert pulse.read(tmp_path) is None


@pytest.mark.parametrize(
    "wrong", [{"step": "30"}, {"row": [1]}, {"row": {"a": "b"}}, {"at": None}, {"left": "x"}, {"at": 10**400}]
)
def test_a_sign_of_other_types_is_none(tmp_path, wrong):
    beat(tmp_path)
    forge(tmp_path, **wrong)
    with locks.lock(tmp_path / ".lock"):
        assert pulse.read(tmp_path) is None


def refuse(number):
    def call(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("name", ["open", "write", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_no_error(tmp_path, monkeypatch, name, number):
    beat(tmp_path)
    before = (tmp_path / pulse.NAME).read_text()
    monkeypatch.setattr(pulse.os, name, refuse(number))
    beat(tmp_path, step=31)
    monkeypatch.undo()
    assert (tmp_path / pulse.NAME).read_text() == before
    assert os.listdir(tmp_path) == [pulse.NAME]


def test_a_disk_that_takes_half_leaves_the_sign_before(tmp_path, monkeypatch):
    beat(tmp_path)
    before, real = (tmp_path / pulse.NAME).read_text(), os.write
    monkeypatch.setattr(
        pulse.os, "write", lambda handle, data: real(handle, data[: len(data) // 2])
    )
    beat(tmp_path, step=31)
    monkeypatch.undo()
    assert (tmp_path / pulse.NAME).read_text() == before
    assert os.listdir(tmp_path) == [pulse.NAME]


def test_it_is_given_at_most_every_two_seconds(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(pulse.time, "monotonic", lambda: now[0])
    sign, given = pulse.Pulse(tmp_path), []
    for _ in range(100):
        now[0] += 0.125
        if sign.due():
            sign.beat({**NEWS, "row": ROW})
            given.append(now[0])
    assert given == [102.0, 104.0, 106.0, 108.0, 110.0, 112.0]


@pytest.fixture
def often(monkeypatch):
    """Have every step give a sign, and keep what a reader would see of each."""
    monkeypatch.setattr(pulse, "EVERY", 0.0)
    seen, real = [], Progress.beat

    def beat(self, sign):
        real(self, sign)
        seen.append(pulse.read(sign.path.parent))

    monkeypatch.setattr(Progress, "beat", beat)
    return seen


def files(folder):
    found = {
        p.name: p.resolve().read_bytes() for p in folder.rglob("*") if p.suffix == ".safetensors"
    }
    found |= {p.parent.name: p.read_bytes() for p in folder.rglob("curve.csv")}
    return found | {"layers.csv": (folder / "layers.csv").read_bytes()}


def test_a_run_gives_signs_that_change_nothing_of_it(run, often, tmp_path):
    folder = run("branch=[shuffle]", "branch_levels=[2]")
    assert None not in often
    steps = [(s["level"], s["branch"], s["step"]) for s in often]
    assert steps == [
        (i, b, s) for i, b in ((0, ""), (1, ""), (2, ""), (2, "shuffle")) for s in range(1, 13)
    ]
    assert {s["levels"] for s in often} == {2}
    assert [round(s["density"], 3) for s in often[::12]] == [1.0, 0.8, 0.637, 0.637]
    assert often[11]["left"] > often[-1]["left"]
    assert often[5]["row"]["step"] == 4  # the newest row of the curve, an epoch of 4 steps
    assert not (folder / pulse.NAME).exists()
    assert not list(folder.glob(".tmp-*"))


def test_a_long_search_gives_signs_too(run, often, monkeypatch):
    """Nothing is trained in the meantime; the level that is scored stands in them."""
    signs, real = [], pulse.Pulse.beat
    monkeypatch.setattr(pulse.Pulse, "beat", lambda s, news: (signs.append(news), real(s, news)))
    run("prune=snip", "levels=1")
    scored = [s for s in signs if not s["steps"]]
    assert scored
    assert [s["step"] for s in scored] == list(range(1, len(scored) + 1))
    assert {s["left"] for s in scored} == {None}
    assert all(s["level"] in (0, 1) for s in scored)


def test_the_bits_of_a_run_are_those_of_one_without_signs(run, often, tmp_path, monkeypatch):
    watched = files(run("name=a", f"outputs={tmp_path}/outputs"))
    assert often
    monkeypatch.setattr(pulse, "EVERY", 1e9)
    (tmp_path / "again").mkdir()
    monkeypatch.chdir(tmp_path / "again")
    run("name=a", f"outputs={tmp_path}/again/outputs")
    (folder,) = (tmp_path / "again" / "outputs" / "a").glob("*/replicate_0")
    assert files(folder) == watched


def test_a_run_that_fails_takes_its_sign_away(run, often, monkeypatch):
    from lottery.training import train

    monkeypatch.setattr(train, "check_end", refuse(errno.EIO))
    folder = run(code=5)
    assert records.read_run(folder)["state"] == "failed"
    assert not (folder / pulse.NAME).exists()


def test_what_a_killed_process_left_is_swept_and_harms_nobody(run, lottery, capsys, tiny):
    folder = run()
    beat(folder)
    (folder / f".tmp-1-{pulse.NAME}").write_text("half")
    capsys.readouterr()
    assert pulse.read(folder) is None
    assert lottery("doctor") == 0
    assert f"/{pulse.NAME}" not in capsys.readouterr().out  # it is no damage
    assert lottery("clean") == 0
    assert f"/{pulse.NAME}" not in capsys.readouterr().out  # nor an orphan
    assert (folder / pulse.NAME).exists()
    assert [r.path for r in Inventory(folder.parents[2]).runs()] == [folder]
    assert lottery("run", *tiny) == 0
    assert not (folder / pulse.NAME).exists()
    assert not list(folder.glob(".tmp-*"))


def test_a_sign_has_the_curve_of_its_level_thinned_with_both_ends(tmp_path):
    with locks.lock(tmp_path / ".lock"):
        beat(tmp_path, curve=[(k, k / 1000) for k in range(1000)] + [(1000, float("nan"))])
        found = pulse.curve(pulse.read(tmp_path))
    assert len(found) == pulse.POINTS
    assert (found[0], found[-1]) == ((0, 0), (999, 0.999))
    assert found == sorted(found)
    assert (tmp_path / pulse.NAME).stat().st_size < pulse.LONGEST // 2


def test_a_curve_is_of_validation_where_there_is_one(tmp_path):
    both = {"step": 4, "val_accuracy": 0.5, "test_accuracy": 0.25}
    assert measured([], ACCURACY) == []
    assert measured([both, both | {"step": 8}], ACCURACY) == [(4, 0.5), (8, 0.5)]
    assert measured([{"step": 4, "test_accuracy": 0.25}], ACCURACY) == [(4, 0.25)]
    assert measured([{"step": 4, "train_loss": 1.0}], ACCURACY) == []


def test_readers_of_a_lock_neither_wait_nor_mind_each_other(tmp_path, monkeypatch):
    """Nobody asks for the lock itself, which a run that begins at that moment would miss."""
    path = tmp_path / ".lock"
    monkeypatch.setattr(records, "FileLock", None)
    assert not records.locked(path)
    with locks.lock(path):
        assert records.locked(path)
    assert not records.locked(path)
    with open(path) as one:
        fcntl.flock(one, fcntl.LOCK_SH)  # another reader
        assert not records.locked(path)


def test_where_a_lock_cannot_be_read_it_is_asked_for(tmp_path, monkeypatch):
    path = tmp_path / ".lock"
    monkeypatch.setattr(records, "held", lambda path: None)
    path.touch()
    assert not records.locked(path)
    with locks.lock(path):
        assert records.locked(path)

"""Checkpoints: written beside the work, the newest good one used, damage named."""

import errno
import os
import threading

import pytest
import torch

from lottery.errors import DamagedError, DiskError
from lottery.storage.checkpoints import Checkpoints
from lottery.storage.files import TEMPORARY


@pytest.fixture
def three(tmp_path):
    """Return checkpoints of steps 5, 10 and 15."""
    with Checkpoints(tmp_path) as checkpoints:
        for step in (5, 10, 15):
            checkpoints.write(step, {"a": torch.tensor([float(step)])}, {"step": step})
    return checkpoints


def flip(path):
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def test_the_newest_two_are_kept(three):
    assert [p.name.split("-")[1] for p in three.paths()] == ["15", "10"]
    tensors, about = three.read(pytest.fail)
    assert (tensors["a"].tolist(), about) == ([15.0], {"step": 15})
    three.clear()
    assert three.read(pytest.fail) is None


def test_a_damaged_one_is_set_aside_and_both_are_named(three):
    newest, before = three.paths()
    flip(newest)
    said = []
    tensors, _ = three.read(said.append)
    assert tensors["a"].tolist() == [10.0]
    assert newest.name in said[0]
    assert before.name in said[1]
    assert newest.with_name(newest.name + ".corrupt").exists()


def test_no_good_one_is_never_a_silent_restart(three):
    for path in three.paths():
        flip(path)
    for _ in range(2):  # and the next time neither
        with pytest.raises(DamagedError, match=f"rm -r {three.folder}, then type"):
            three.read(lambda line: None)


def test_training_goes_on_while_one_is_written(tmp_path, monkeypatch):
    may_write, synced = threading.Event(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (may_write.wait(10), synced(handle)))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(1, {"a": torch.zeros(1)}, {})
    assert checkpoints.paths() == []
    may_write.set()
    checkpoints.settle()
    assert len(checkpoints.paths()) == 1


def test_a_full_disk_is_told_by_the_next_write(tmp_path, monkeypatch):
    def full(handle, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(os, "write", full)
    checkpoints.write(1, {"a": torch.zeros(1)}, {})
    with pytest.raises(DiskError, match="No space left on device"):
        checkpoints.write(2, {"a": torch.zeros(1)}, {})
    checkpoints.write(3, {"a": torch.zeros(1)}, {})
    with pytest.raises(KeyError), checkpoints:  # an error on its way is not replaced
        raise KeyError
    assert not list(tmp_path.glob(f"{TEMPORARY}*"))

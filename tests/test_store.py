import errno
import os

import pytest
import torch

from lottery.errors import DamagedError, DiskError
from lottery.storage import disk, links, store
from lottery.storage.store import Shelf

TENSORS = {"weights/a": torch.arange(6.0).view(2, 3), "mask/a": torch.tensor([3], dtype=torch.uint8)}


@pytest.fixture
def shelf(tmp_path):
    shelf = Shelf(tmp_path, "k")
    shelf.path.mkdir(parents=True)
    sha = shelf.write_tensors("end.safetensors", TENSORS, {"step": 3})
    shelf.finish({
        "key": "k", "format": 3, "trained_by": "me", "files": {"end.safetensors": sha},
        "result": {"density": 0.5}, "layers": {}, "environment": {}, "drift": [], "lowered": [],
    })  # fmt: skip
    return shelf


def test_tensors_come_back_with_what_was_said(shelf):
    tensors, about = shelf.read_tensors("end.safetensors")
    assert about == {"step": 3}
    assert all(torch.equal(tensors[k], v) for k, v in TENSORS.items())
    assert store.pack_tensors(TENSORS, {"a": 1}) == store.pack_tensors(TENSORS, {"a": 1})


@pytest.mark.parametrize("name", ["end.safetensors", "manifest.json"])
@pytest.mark.parametrize("how", ["flip", "cut", "zero", "empty"])
def test_damage_is_found_and_named(shelf, name, how):
    path = shelf.path / name
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes({
        "flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "cut": data[:-5], "zero": bytes(len(data)), "empty": b"",
    }[how])  # fmt: skip
    with pytest.raises(DamagedError, match="to train this level again: rm -r") as error:
        shelf.read_tensors("end.safetensors")
    assert str(path) in str(error.value)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "f"
    disk.write(path, b"old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="No space left on device .3 bytes needed, .* free.; free some space"):
        disk.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_relative_and_a_pointer_file_stands_in(tmp_path, monkeypatch):
    target = tmp_path / "store" / "abc"
    target.mkdir(parents=True)
    place = tmp_path / "run" / "level_00"
    place.parent.mkdir()
    links.link(place, target)
    assert place.readlink().as_posix() == "../store/abc"
    assert links.follow(place) == "abc"
    place.unlink()

    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "symlink", refuse)
    links.link(place, target)
    assert place.read_text() == "../store/abc\n"
    assert links.follow(place) == "abc"
    assert links.follow(tmp_path / "run" / "level_01") is None


def test_temporary_files_are_swept(tmp_path):
    shelf = Shelf(tmp_path, "k")
    shelf.path.mkdir(parents=True)
    (shelf.path / ".tmp-1-x").write_text("")
    shelf.sweep()
    assert not list(shelf.path.iterdir())


def test_the_digest_is_of_names_types_shapes_and_bytes():
    base = store.tensor_digest({"a": torch.zeros(4)})
    for other in (
        {"b": torch.zeros(4)}, {"a": torch.zeros(2, 2)}, {"a": torch.zeros(4, dtype=torch.int32)},
        {"a": torch.tensor([0.0, 0, 0, -0.0])},
    ):  # fmt: skip
        assert store.tensor_digest(other) != base
    assert store.tensor_digest({"a": torch.zeros(4)}) == base

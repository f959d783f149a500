import errno
import fcntl
import os
import shutil
import stat

import pytest
import torch

from lottery.errors import DamagedError, DiskError, UsageError
from lottery.storage import claims, disk, links, locks, records, store
from lottery.storage.files import TEMPORARY
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


def test_what_was_half_made_is_swept_whatever_it_is(tmp_path):
    (tmp_path / ".tmp-1-folder" / "deep").mkdir(parents=True)
    (tmp_path / ".tmp-1-folder" / "deep" / "file").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".tmp-1-link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / ".tmp-1-pipe")
    disk.sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["elsewhere"]


def test_a_folder_in_which_a_process_works_is_not_swept(tmp_path):
    with disk.workplace(tmp_path / "made") as place:
        (place / "part").write_text("")
        disk.sweep(tmp_path)
        assert (place / "part").exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_of_another_machine_with_the_same_number_is_not_taken(tmp_path):
    with disk.workplace(tmp_path / "made") as place, disk.workplace(tmp_path / "made") as other:
        (place / "part").write_text("")
        assert place != other
        disk.sweep(tmp_path)
        assert (place / "part").exists()
        assert other.is_dir()
        assert {p.name.removesuffix("-made").removeprefix(TEMPORARY).isdecimal() for p in (place, other)} == {True}
    disk.beside(tmp_path / "made").mkdir()  # of a killed one: it is swept, and in nobody's way
    with disk.workplace(tmp_path / "made"):
        disk.sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())


def test_a_claim_is_a_lock_that_network_file_systems_have(tmp_path, monkeypatch):
    real = fcntl.flock

    def far(handle, how):
        if stat.S_ISDIR(os.fstat(handle).st_mode) or fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", far)
    with disk.workplace(tmp_path / "made") as place:
        (place / "part").write_text("")
        disk.sweep(tmp_path)
        assert (place / "part").exists()


def test_a_claim_that_was_removed_while_it_was_asked_for_is_none(tmp_path, monkeypatch):
    real = claims.take

    def late(handle):
        (tmp_path / claims.CLAIM).unlink()
        return real(handle)

    monkeypatch.setattr(claims, "take", late)
    with claims.claimed(tmp_path) as had:
        assert not had


def test_a_folder_that_a_process_enters_while_it_is_removed_stays(tmp_path, monkeypatch):
    left, real = tmp_path / ".tmp-1-x", disk.empty
    left.mkdir()

    def late(folder):
        real(folder)
        (folder / claims.CLAIM).write_text("")

    monkeypatch.setattr(disk, "empty", late)
    disk.sweep(tmp_path)
    assert [p.name for p in left.iterdir()] == [claims.CLAIM]


def test_a_workplace_that_was_taken_for_a_left_over_is_made_again(tmp_path, monkeypatch):
    real, times = disk.claimed, []

    def late(path):  # between the making of the folder and the claim on it
        times.append(path)
        if len(times) == 1:
            path.rmdir()
        return real(path)

    monkeypatch.setattr(disk, "claimed", late)
    with disk.workplace(tmp_path / "made") as place:
        disk.sweep(tmp_path)
        assert place.is_dir()


def test_a_file_that_was_swept_while_it_was_written_is_written_again(tmp_path, monkeypatch):
    real, times = os.replace, []

    def swept(source, target):
        times.append(target)
        if len(times) == 1:
            disk.sweep(tmp_path)
        real(source, target)

    monkeypatch.setattr(os, "replace", swept)
    disk.write(tmp_path / "f", b"whole")
    assert (tmp_path / "f").read_bytes() == b"whole"
    assert len(times) == 2
    times.clear()
    links.link(tmp_path / "link", tmp_path / "store" / "abc")
    assert (tmp_path / "link").readlink().as_posix() == "store/abc"
    assert len(times) == 2


def test_what_is_published_replaces_nothing(tmp_path, monkeypatch):
    def make(kind):
        made = tmp_path / "made"
        made.mkdir() if kind == "folder" else made.write_bytes(b"new")
        if kind == "folder":
            (made / "part").write_bytes(b"new")
        return made

    for kind in ("file", "folder"):
        for there in ("file", "folder"):
            target = tmp_path / f"{kind} onto {there}"
            target.mkdir() if there == "folder" else target.write_bytes(b"old")
            with pytest.raises(FileExistsError):
                disk.publish(make(kind), target)
            assert target.is_dir() if there == "folder" else target.read_bytes() == b"old"
            disk.publish(tmp_path / "made", tmp_path / f"{kind} {there}")
            part = tmp_path / f"{kind} {there}" / ("part" if kind == "folder" else "")
            assert part.read_bytes() == b"new"
            (tmp_path / "made").unlink(missing_ok=True)
    (tmp_path / "folder file" / "more").write_bytes(b"")
    with monkeypatch.context() as late, pytest.raises(FileExistsError):
        late.setattr(os.path, "lexists", lambda path: False)  # it came just after the look
        disk.publish(make("folder"), tmp_path / "folder file")
    shutil.rmtree(tmp_path / "made")

    def no_links(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    disk.publish(make("file"), tmp_path / "without links")
    assert (tmp_path / "without links").read_bytes() == b"new"
    with pytest.raises(FileExistsError):
        disk.publish(make("file"), tmp_path / "without links")


def test_a_name_that_cannot_be_given_is_free_again(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "made").write_bytes(b"new")
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(DiskError):
        disk.publish(tmp_path / "made", tmp_path / "name")
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_a_disk_that_does_not_say_what_is_free_is_told_all_the_same(tmp_path, monkeypatch):
    def dead(path):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", dead)
    for number in (errno.EIO, errno.EACCES, errno.ENOSPC, errno.EDQUOT):
        assert " free)" not in str(disk.refused(tmp_path, "remove", OSError(number, "no")))


def test_the_longest_name_that_a_disk_takes_can_be_written(tmp_path):
    for name in ("x" * 255, "\u00e9" * 127):
        disk.write(tmp_path / name, b"whole")
        assert (tmp_path / name).read_bytes() == b"whole"
    with pytest.raises(UsageError, match=r"'x{40}\.\.\.': it is longer than a name may be"):
        disk.write(tmp_path / ("x" * 256), b"")
    assert len(list(tmp_path.iterdir())) == 2


def test_who_holds_a_lock_need_not_be_written_down(tmp_path, monkeypatch):
    def full(path, data, sync=True):
        raise DiskError("no space left")

    monkeypatch.setattr(disk, "write", full)
    with locks.lock(tmp_path / ".lock", run=True):
        assert records.locked(tmp_path / ".lock")
    assert not records.locked(tmp_path / ".lock")


def test_the_digest_is_of_names_types_shapes_and_bytes():
    base = store.tensor_digest({"a": torch.zeros(4)})
    for other in (
        {"b": torch.zeros(4)}, {"a": torch.zeros(2, 2)}, {"a": torch.zeros(4, dtype=torch.int32)},
        {"a": torch.tensor([0.0, 0, 0, -0.0])},
    ):  # fmt: skip
        assert store.tensor_digest(other) != base
    assert store.tensor_digest({"a": torch.zeros(4)}) == base

"""Archives from outside: unpacked in memory, bounded, and nothing but plain files."""

import gzip
import io
import tarfile

import pytest

from lottery.tasks.images import archives

SIZES = {"a.bin": 4, "b.bin": 4}


def member(name, kind=tarfile.REGTYPE, size=0, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info


def packed(*members):
    """Return a .tar.gz of (TarInfo, bytes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for info, data in members:
            info.size = info.size or len(data)
            archive.addfile(info, io.BytesIO(data))
    return io.BytesIO(out.getvalue())


def good():
    return [(member("x/a.bin"), b"aaaa"), (member("x/b.bin"), b"bbbb")]


def test_files_are_found_whatever_their_folder_and_order():
    extra = (member("x/readme.html"), b"<html>")
    archive = packed(extra, *reversed(good()))
    assert list(archives.unpacked(archive, "x.tar.gz", SIZES).items()) == [
        ("a.bin", b"aaaa"), ("b.bin", b"bbbb"),
    ]  # fmt: skip


def test_a_gzip_file_is_one_file():
    data = io.BytesIO(gzip.compress(b"12345", mtime=0))
    assert archives.unpacked(data, "x.gz", {"x": 5}) == {"x": b"12345"}


def test_any_other_file_is_itself():
    assert archives.unpacked(io.BytesIO(b"12345"), "x.mat", {"x.mat": 5}) == {"x.mat": b"12345"}


@pytest.mark.parametrize("name", ["../a.bin", "/etc/a.bin", "../../../../tmp/a.bin"])
def test_where_a_member_wants_to_go_means_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive = packed((member(name), b"aaaa"), good()[1])
    assert archives.unpacked(archive, "x.tar.gz", SIZES)["a.bin"] == b"aaaa"
    assert not list(tmp_path.iterdir())


BAD = {
    "a link": (member("x/a.bin", tarfile.SYMTYPE, target="/etc/passwd"), b""),
    "a hard link": (member("x/a.bin", tarfile.LNKTYPE, target="x/b.bin"), b""),
    "a device": (member("x/a.bin", tarfile.CHRTYPE), b""),
    "a pipe": (member("x/a.bin", tarfile.FIFOTYPE), b""),
    "a folder": (member("x/a.bin", tarfile.DIRTYPE), b""),
    "more than announced": (member("x/a.bin"), b"aaaaa"),
}


@pytest.mark.parametrize("what", BAD)
def test_only_a_file_of_the_announced_size_is_read(what):
    with pytest.raises(ValueError, match="no file of the announced size"):
        archives.unpacked(packed(BAD[what], good()[1]), "x.tar.gz", SIZES)


def test_a_file_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="there twice"):
        archives.unpacked(packed(*good(), good()[0]), "x.tar.gz", SIZES)


def test_a_file_that_is_missing_is_named():
    with pytest.raises(ValueError, match=r"b\.bin is missing"):
        archives.unpacked(packed(good()[0]), "x.tar.gz", SIZES)


def test_too_many_members_are_refused():
    many = [(member(f"x/{number}"), b"") for number in range(archives.MEMBERS + 1)]
    with pytest.raises(ValueError, match="more than 100 members"):
        archives.unpacked(packed(*many, *good()), "x.tar.gz", SIZES)


@pytest.mark.parametrize("name", ["x.gz", "x.tar.gz"])
def test_a_bomb_is_given_up_at_its_limit(name, monkeypatch):
    read = []
    original = gzip.GzipFile.read
    monkeypatch.setattr(
        gzip.GzipFile, "read", lambda *a: [read.append(len(d := original(*a))), d][1]
    )
    bomb = io.BytesIO(gzip.compress(bytes(50_000_000)))
    with pytest.raises(ValueError, match="more than"):
        archives.unpacked(bomb, name, {"x": 1000})
    assert sum(read) <= 1000 + archives.ROUNDING + 1


def test_a_header_that_promises_gigabytes_takes_no_memory():
    info = member("x/a.bin", size=2**40)
    block = info.tobuf(tarfile.GNU_FORMAT) + b"aaaa".ljust(512, b"\0")
    with pytest.raises(ValueError, match="no file of the announced size"):
        archives.members(block, SIZES)
    long = member("x", tarfile.GNUTYPE_LONGNAME, size=2**40).tobuf(tarfile.GNU_FORMAT)
    with pytest.raises((ValueError, tarfile.TarError)):
        archives.members(long, SIZES)


@pytest.mark.parametrize("name", ["x.gz", "x.tar.gz"])
@pytest.mark.parametrize("data", [b"no archive", gzip.compress(b"12345" * 99, mtime=0)[:20]])
def test_what_is_no_archive_is_a_value_error(name, data):
    with pytest.raises(ValueError):  # noqa: PT011 (the words are those of gzip and tarfile)
        archives.unpacked(io.BytesIO(data), name, {"x": 1000})


@pytest.mark.parametrize("at", [0, 1, 3, 10, 40, -9, -5, -1])
def test_a_damaged_byte_never_passes(at):
    data = bytearray(gzip.compress(bytes(range(256)), mtime=0))
    data[at] ^= 0x40
    try:
        found = archives.unpacked(io.BytesIO(data), "x.gz", {"x": 256})
    except ValueError:
        return
    assert found == {"x": bytes(range(256))}  # the header has bytes that mean nothing

"""An export that was killed at any of its calls keeps nothing from the next one."""

import errno
import os
import shutil
import signal
import warnings

import pytest

from lottery.errors import UsageError
from lottery.exchange import placing

FILES = {"file": {placing.ALONE: b"0123456789"}, "folder": {"a.bin": b"0123", "README.md": b"words"}}
CALLS = ("open", "write", "fsync", "mkdir", "link", "rename", "replace", "unlink", "rmdir", "close", "scandir")


def no_links(*_):
    raise OSError(errno.EPERM, "Operation not permitted")


def killed(files, target, at, links):
    """Put files in their place in a process that is killed before its call number `at`; None: it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which Python 3.12 sees and the child does not need
        child = os.fork()
    if not child:
        left = at

        def dying(plain):
            def call(*args, **named):
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return plain(*args, **named)

            return call

        if not links:
            os.link = no_links
        for name in CALLS:
            setattr(os, name, dying(getattr(os, name)))
        placing.put(files, target, "export")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("links", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_same_command_works_wherever_the_one_before_was_killed(tmp_path, monkeypatch, kind, links):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    place, files, at = tmp_path / "in", FILES[kind], 0
    target = place / "out"
    while True:
        place.mkdir()
        ended = killed(files, target, at, links) is None
        placing.refuse_taken(target, "export", same_as_new=True)
        placing.put(files, target, "export")
        made = {p.name: p.read_bytes() for p in target.iterdir()} if kind == "folder" else {placing.ALONE: target.read_bytes()}
        assert made == files
        assert sorted(p.name for p in place.iterdir()) == ["out"], at
        shutil.rmtree(place)
        at += 1
        if ended:
            break
    assert at > 10


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("kind", FILES)
def test_what_another_has_put_there_stays(tmp_path, monkeypatch, kind, links):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    target = tmp_path / "out"
    for other in (b"", b"other"):
        target.write_bytes(other)
        with pytest.raises(UsageError, match="is there already, and nothing is replaced"):
            placing.put(FILES[kind], target, "export")
        assert target.read_bytes() == other
    target.unlink()
    target.mkdir()
    (target / "mine").write_text("mine")
    with pytest.raises(UsageError, match="is there already, and nothing is replaced"):
        placing.put(FILES[kind], target, "export")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (target / "mine").read_text() == "mine"

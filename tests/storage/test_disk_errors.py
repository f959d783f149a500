"""A disk that does not answer is no damage: exit 5 with what the system said, and nothing is moved."""

import errno
import os

import pytest

from lottery.storage import files

TRANSIENT = [errno.EIO, errno.ESTALE, errno.EINTR, errno.EMFILE, errno.ENOMEM, errno.EACCES]


@pytest.fixture
def broken(monkeypatch):
    """Let reading a file of a name fail with an error of the system, wherever it lies."""

    def broken(name, number):
        plain = os.open

        def refuse(path, flags, *more, **named):
            if os.fspath(path).endswith(name) and not flags & (os.O_WRONLY | os.O_RDWR):
                raise OSError(number, os.strerror(number), os.fspath(path))
            return plain(path, flags, *more, **named)

        monkeypatch.setattr(files.os, "open", refuse)

    return broken


def there(folder):
    """Return every file under a folder with what it holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            found[path.relative_to(folder)] = path.read_bytes()
    return found


@pytest.mark.parametrize(("name", "command", "number"), [
    ("config.yaml", "run", errno.EIO),
    ("t.safetensors", "ticket", errno.EACCES),
    *(pytest.param(name, command, number, marks=pytest.mark.slow)
      for name, command in (("config.yaml", "run"), ("run.json", "run"), ("manifest.json", "run"), ("ticket.safetensors", "again"),
                            ("end.safetensors", "export"), ("t.safetensors", "import"), ("t.safetensors", "ticket"))
      for number in TRANSIENT),
])  # fmt: skip
def test_a_file_that_cannot_be_read_now_is_not_damaged(run, lottery, tiny, tmp_path, broken, capsys, name, command, number):
    folder = run("levels=1")
    assert lottery("export", folder, "level=1", "as=ticket", "to=t.safetensors") == 0
    words = {
        "run": ["run", *tiny, "levels=1"], "again": ["run", *tiny, "levels=2"],
        "export": ["export", folder, "level=1", "to=u.safetensors"], "import": ["import", "t.safetensors", "to=u.safetensors"],
        "ticket": ["run", *tiny, "levels=1", "rewind=ticket", "rewind.path=t.safetensors"],
    }[command]  # fmt: skip
    before = there(tmp_path)
    capsys.readouterr()
    broken(name, number)
    assert lottery(*words) == 5
    said = capsys.readouterr().err
    assert os.strerror(number) in said
    assert "damaged" not in said
    assert not list(tmp_path.rglob("*.corrupt"))
    after = there(tmp_path)
    kept = [path for path in before if path.name not in ("run.json", "manifest.json")]
    assert all(after[path] == before[path] for path in kept)

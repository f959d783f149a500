"""A run's manifest: the truth about its levels, and what vouches for its tables."""

import json

import pytest

from lottery.errors import DamagedError
from lottery.storage import records, settings
from lottery.storage.ledger import Ledger

KEY = "0123456789abcdef" * 2


def test_levels_and_files_come_back(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.note("level_00", key=KEY)
    ledger.note("level_01_shuffle", key=KEY, of=KEY, settings="shuffle scope=layerwise")
    ledger.write_files({"metrics.csv": b"a\n1\n"})
    again = Ledger(tmp_path)
    again.read(pytest.fail)
    assert again.levels == ledger.levels
    assert records.levels(tmp_path)["level_01_shuffle"]["of"] == KEY
    assert records.checked(tmp_path, "metrics.csv") == b"a\n1\n"
    assert records.checked(tmp_path, "layers.csv") is None


def test_a_table_is_vouched_for_while_it_is_replaced(tmp_path):
    """A kill between manifest and table leaves the table of before, which is no damage."""
    ledger = Ledger(tmp_path)
    ledger.write_files({"metrics.csv": b"old"})
    ledger.write_files({"metrics.csv": b"new"})
    for content in (b"old", b"new"):
        (tmp_path / "metrics.csv").write_bytes(content)
        assert records.checked(tmp_path, "metrics.csv") == content
    ledger.write_files({"metrics.csv": b"newer"})
    (tmp_path / "metrics.csv").write_bytes(b"old")
    with pytest.raises(DamagedError, match="writes its tables anew"):
        records.checked(tmp_path, "metrics.csv")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"levels": {}}', b"[" * 100_000])
def test_a_damaged_manifest_is_set_aside_and_named(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"manifest\.json is damaged"):
        records.levels(tmp_path)
    said = []
    ledger = Ledger(tmp_path)
    ledger.read(said.append)
    assert "manifest.json.corrupt" in said[0]
    assert (ledger.levels, ledger.files) == ({}, {})
    assert (tmp_path / "manifest.json.corrupt").read_bytes() == content


@pytest.mark.parametrize("levels", [
    {"level_00": {"key": "../../etc"}}, {"../level_00": {"key": KEY}}, {"level_00": KEY},
    {"level_00": {}}, [], {"level_00": {"key": KEY.upper()}},
])  # fmt: skip
def test_a_manifest_names_levels_of_the_store_only(tmp_path, levels):
    body = records.signed({"run": records.whose(tmp_path), "levels": levels, "files": {}})
    (tmp_path / "manifest.json").write_text(json.dumps(body))
    with pytest.raises(DamagedError):
        records.levels(tmp_path)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reader_that_is_overtaken_twice_finds_no_damage(tmp_path, monkeypatch, when):
    ledger = Ledger(tmp_path)
    ledger.write_files({"metrics.csv": b"0"})
    real, contents = records.read_manifest, [b"1", b"2"]

    def overtaken(folder):
        found = real(folder) if when == "after" else None
        while contents:
            ledger.write_files({"metrics.csv": contents.pop(0)})
        return found or real(folder)

    monkeypatch.setattr(records, "read_manifest", overtaken)
    assert records.checked(tmp_path, "metrics.csv") in (b"0", b"2")


def test_a_config_is_read_as_it_was_written_or_not_at_all(tmp_path):
    written = b"model: {name: lenet}\ndataset: {name: digits}\ntrain: {length: 3ep}\nlevels: 2\n"
    ledger = Ledger(tmp_path)
    with pytest.raises(DamagedError, match="it is missing"):
        settings.read_settings(tmp_path)
    ledger.write_files({"config.yaml": written})
    assert settings.read_settings(tmp_path)["train"] == {"length": "3ep"}
    for other in (written.replace(b"3", b"7"), written[:-10], b"", b"a: *b", b"\xff"):
        (tmp_path / "config.yaml").write_bytes(other)
        with pytest.raises(DamagedError, match=r"config.yaml is damaged .*; to have it written anew: rm"):
            settings.read_settings(tmp_path)
    (tmp_path / "config.yaml").write_bytes(written)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(DamagedError, match="the run's manifest does not name it"):
        settings.read_settings(tmp_path)


@pytest.mark.parametrize("text", [
    "model: 1\ndataset: 1", "- 1", "model: &a 1\ndataset: *a\ntrain: 1",
    "model: ${oc.env:HOME}\ndataset: 1\ntrain: 1", "model: !!python/name:os.system\ndataset: 1\ntrain: 1",
])  # fmt: skip
def test_what_is_no_config_is_refused(text):
    with pytest.raises(settings.UNREADABLE):
        settings.parsed(text.encode())


def test_every_command_names_a_config_that_was_cut(run, lottery, capsys):
    folder = run("levels=1")
    path = folder / "config.yaml"
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"prune:")])
    for words in (
        ["show", folder], ["bench", folder, "level=1"], ["export", folder, "level=1"],
        ["branch", folder, "branch=shuffle"], ["diff", folder, folder], ["compact", folder, "level=1"],
    ):  # fmt: skip
        capsys.readouterr()
        assert lottery(*words) == 4
        said = capsys.readouterr().err
        assert f"rm -r {path.relative_to(folder.parents[3])}, then type lottery run" in said
    path.unlink()
    run("levels=1")
    assert path.read_bytes() == data

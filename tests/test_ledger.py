"""A run's manifest: the truth about its levels, and what vouches for its tables."""

import json

import pytest

from lottery.errors import DamagedError
from lottery.storage import records
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

"""`lottery pack`: a small copy of runs that every looking command reads."""

import json
import shutil
import zipfile

import pandas as pd
import pytest

import lottery as product


@pytest.fixture
def ran(lottery, tiny, tmp_path, capsys):
    """Run two replicates of the tiny net, with controls and an analysis; return the folder outputs/."""
    words = [*tiny, "replicate=0,1", "name=one", "schedule.keep=0.5", "branch=[shuffle]", "analysis=[movement]"]
    assert lottery("run", "-m", *words) == 0
    capsys.readouterr()
    return tmp_path / "outputs"


def unpacked(tmp_path, name="pack.zip"):
    with zipfile.ZipFile(tmp_path / name) as pack:
        pack.extractall(tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.mark.slow
def test_every_looking_command_reads_a_pack(ran, lottery, tmp_path, capsys):
    assert lottery("pack") == 0
    assert "2 runs" in capsys.readouterr().out and "without masks and weights" not in (ran / "one").name
    theirs = unpacked(tmp_path)
    assert not [*theirs.rglob("*.safetensors")]
    whole = sum(p.stat().st_size for p in ran.rglob("*") if p.is_file())
    assert (tmp_path / "pack.zip").stat().st_size < whole / 2  # of a net of 84 weights
    said = {}
    for words in (["ls"], ["ls", "group=replicate", "format=csv"], ["compare", "one", "format=csv"], ["compare", "layout=wide"],
                  ["show", "one", "replicate=1"], ["plot", "figure=accuracy", "to=a.png"], ["plot", "figure=curves", "to=b.png"],
                  ["report", "to=a.html"], ["doctor"], ["verify"]):  # fmt: skip
        for outputs in (ran, theirs):
            assert lottery(*words, f"outputs={outputs}") == 0, (words, capsys.readouterr())
            said[tuple(words), outputs] = capsys.readouterr().out
    for words in (("ls", "group=replicate", "format=csv"), ("compare", "one", "format=csv"), ("compare", "layout=wide")):
        assert said[words, ran] == said[words, theirs]
    mine, other = product.load(ran), product.load(theirs)
    for name in ("levels", "branches", "layers", "curves"):
        pd.testing.assert_frame_equal(getattr(mine, name), getattr(other, name))
    pd.testing.assert_frame_equal(mine.analysis("movement"), other.analysis("movement"))


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["tables", "masks", "weights"])
def test_what_can_be_verified_is_as_much_as_was_packed(ran, lottery, tmp_path, capsys, kept):
    assert lottery("pack", "one", "replicate=0", f"with={kept}", "to=theirs") == 0
    capsys.readouterr()
    assert lottery("verify", "outputs=theirs") == 0
    said = capsys.readouterr().out
    assert ("what the levels in the store say" in said) == (kept != "tables")
    assert ("the same bits came out" in said) == (kept == "weights")
    assert lottery("doctor", "outputs=theirs") == 0
    for words in (["analyze", "one", "analysis=movement"], ["export", "one", "level=1", "to=ticket.safetensors"]):
        assert lottery(*words, "outputs=theirs") == (0 if kept == "weights" else 2)
        assert ("was left out of this pack" in capsys.readouterr().err) == (kept != "weights")
    if kept != "tables":
        assert lottery("plot", "figure=overlap", "between=levels", "outputs=theirs", "to=a.png") == 0
    (path,) = tmp_path.glob("theirs/one/*/replicate_0/metrics.csv")
    path.write_text(path.read_text().replace("0.5", "0.7", 1))
    assert lottery("verify", "outputs=theirs") == 4


def test_a_pack_is_made_whole_and_replaces_nothing(ran, lottery, tmp_path, capsys, monkeypatch):
    assert lottery("pack", "to=a.zip") == 0 and lottery("pack", "to=new/folder/a.zip") == 0
    before = (tmp_path / "a.zip").read_bytes()
    for words, says in ((["to=a.zip"], "is there already"), (["with=all"], "tables, masks, weights"), (["nobody"], "nobody")):
        assert lottery("pack", *words) == 2
        line = capsys.readouterr().err
        assert says in line and line.count("\n") == 1
    assert (tmp_path / "a.zip").read_bytes() == before
    monkeypatch.setattr(zipfile.ZipFile, "writestr", lambda *given: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert lottery("pack", "to=b.zip") != 0
    assert "No space left" in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {"a.zip"}


def test_a_damaged_level_is_not_packed(ran, lottery, capsys):
    path = next(ran.glob("store/*/curve.csv"))
    path.write_text("step\n")
    assert lottery("pack") == 2
    assert "curve.csv is damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_no_pack_is_damaged_where_files_are_missing(ran, lottery, tmp_path, capsys):
    """A pack.json that says nonsense excuses nothing."""
    shutil.copytree(ran, tmp_path / "theirs", symlinks=True)
    next((tmp_path / "theirs").glob("store/*/end.safetensors")).unlink()
    for said in ("", "[]", json.dumps({"with": "nothing"}), "{"):
        (tmp_path / "theirs" / "pack.json").write_text(said)
        assert lottery("verify", "outputs=theirs", "level=none") == 4
        assert "end.safetensors is missing" in capsys.readouterr().out

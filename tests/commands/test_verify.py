"""`lottery verify`: what a reviewer finds in a folder that came by mail."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lottery.storage.ledger import Ledger
from lottery.storage.records import levels, signed


@pytest.fixture
def ran(lottery, tiny, tmp_path, capsys):
    """Run the tiny net; return its folder."""
    assert lottery("run", *tiny, "name=one", "schedule.keep=0.5", "rewind=step", "rewind.to=2it", "branch=[shuffle]") == 0
    (folder,) = tmp_path.glob("outputs/one/*/replicate_0")
    capsys.readouterr()
    return folder


@pytest.fixture
def verify(lottery, capsys):
    """Return what `lottery verify` prints, on one line; it ends with `code`."""

    def call(*words, code=0):
        capsys.readouterr()
        assert lottery("verify", *words) == code
        return " ".join(capsys.readouterr().out.split())

    return call


def resign(folder, name, data):
    """Write a table as its run does, so that every checksum is right."""
    ledger = Ledger(folder)
    ledger.read(print)
    ledger.write_files({name: data})


def shelf_of(folder, place):
    return folder.parents[2] / "store" / levels(folder)[place]["key"]


@pytest.mark.parametrize("level", ["last", *(pytest.param(n, marks=pytest.mark.slow) for n in "01")])
def test_a_sound_run_is_made_again(ran, verify, level):
    before = {p: p.read_bytes() for p in ran.parents[2].rglob("*") if p.is_file() and ".lock" not in p.name}
    said = verify("one", f"level={level}")
    number = 2 if level == "last" else level
    assert "every checksum is right" in said and "what the levels in the store say" in said
    assert f"level {number} was made and trained again here: the same bits came out" in said
    assert {p: p.read_bytes() for p in before} == before


def test_a_file_that_was_changed_is_named(ran, verify):
    path = ran / "metrics.csv"
    path.write_text(path.read_text().replace("0.5", "0.6", 1))
    assert "metrics.csv its checksum is wrong" in verify("one", code=4)


def test_a_number_that_was_forged_with_its_checksum_is_named(ran, verify):
    """Whoever signs the table anew still has the levels against it."""
    rows = (ran / "metrics.csv").read_text().split("\n")
    cells = rows[3].split(",")
    cells[rows[0].split(",").index("test_accuracy")] = "0.95"
    rows[3] = ",".join(cells)
    resign(ran, "metrics.csv", "\n".join(rows).encode())
    said = verify("one", code=4)
    assert "every checksum is right" in said and "metrics.csv: row 3, test_accuracy: it says '0.95'" in said


@pytest.mark.slow
def test_weights_that_were_forged_with_all_checksums_come_out_otherwise(ran, verify):
    shelf = shelf_of(ran, "level_02")
    tensors = load_file(shelf / "end.safetensors")
    from safetensors import safe_open

    with safe_open(shelf / "end.safetensors", "pt") as file:
        about = file.metadata()
    name = next(k for k in tensors if k.endswith("fc.bias"))
    tensors[name] = tensors[name] + 1
    save_file(tensors, shelf / "end.safetensors", about)
    import hashlib

    manifest = json.loads((shelf / "manifest.json").read_text())
    del manifest["sha256"]
    manifest["files"]["end.safetensors"] = hashlib.sha256((shelf / "end.safetensors").read_bytes()).hexdigest()
    (shelf / "manifest.json").write_text(json.dumps(signed(manifest)))
    said = verify("one", code=1)
    assert "every checksum is right" in said and "other bits came out" in said and "fc.bias" in said
    assert "the same bits" in verify("one", "level=1")


def test_a_ticket_that_was_not_pruned_so_is_named(ran, verify, lottery):
    """The mask of a level is made again from the level before, by the run's method."""
    from lottery.experiment import verifying

    def other(run, ledger, index, kept, real=verifying.ticket_apart):
        name, mask = next(iter(kept.mask.items()))
        flipped = {**kept.mask, name: mask.flip(-1)}
        return real(run, ledger, index, type(kept)(**{**vars(kept), "mask": flipped}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verifying, "ticket_apart", other)
        said = verify("one", code=1)
    assert "its ticket does not follow from the levels before: mask" in said and "gives again all that was kept" in said


@pytest.mark.slow
def test_a_folder_by_mail_without_links_is_verified(ran, verify, tmp_path):
    shutil.copytree(tmp_path / "outputs", tmp_path / "mail", symlinks=True)
    for link in (tmp_path / "mail").rglob("level_*"):
        link.unlink()
    assert "the same bits came out" in verify("outputs=mail")


def test_other_data_or_a_missing_level_is_one_line(ran, verify, monkeypatch):
    assert "7 is not there; it has the levels 0 to 2" in verify("one", "level=7", code=2)
    assert "level" not in verify("one", "level=none").replace("the levels in the store", "")
    shutil.rmtree(shelf_of(ran, "level_01"))
    assert "it has to be trained again" in verify("one", code=4)


@pytest.mark.parametrize(("words", "says"), [(["one", "level=x"], "type level=last"), (["nobody"], "nobody"), (["one", "levl=1"], "level")])
def test_it_refuses_in_a_line(ran, lottery, capsys, words, says):
    assert lottery("verify", *words) == 2
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1


@pytest.mark.slow
def test_several_runs_are_counted(lottery, tiny, verify):
    assert lottery("run", "-m", *tiny, "replicate=0,1", "levels=1") == 0
    assert "2 of 2 runs are as they should be" in verify("level=0")


@pytest.mark.slow
def test_a_replay_shows_its_progress_as_lines(ran, lottery, tiny, capsys):
    """Whatever the run's own host.progress was."""
    words = [w for w in tiny if not w.startswith("host.progress")]
    assert lottery("run", *words, "name=two", "schedule.keep=0.5", "train.optimizer.lr=0.05", "levels=1") == 0
    assert lottery("verify", "two") == 0
    assert lottery("diff", "one", "two", "replay=true") == 1
    assert "replay" in capsys.readouterr().out and torch.get_num_threads() >= 1

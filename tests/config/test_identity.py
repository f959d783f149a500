"""What a run is known by is content: of its data, of its code, of its own records."""

import json
import os
import pickle
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from lottery.config import build, source_hash
from lottery.errors import UsageError
from lottery.experiment import levels, loop
from lottery.storage import records
from lottery.tasks.images import contents, folders
from lottery.terms import seeds
from lottery.training import train

torch.set_num_threads(1)

NET = """
import math

from torch import nn
from mine_parts import halved


class Net(nn.Module):
    def __init__(self, shape, outputs):
        super().__init__()
        self.fc = nn.Linear(math.prod(shape), outputs)

    def forward(self, x):
        return self.fc(halved(x.flatten(1)))


def mine(task, *, width: int):
    return Net(task.input_shape, task.outputs)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package with a model of its own beside tmp_path/outputs; return its folder."""
    home = tmp_path / "site"
    about = home / "mine-0.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[lottery.model]\nmine = mine_net:mine\n")
    (home / "mine_net.py").write_text(NET)
    (home / "mine_parts.py").write_text("def halved(x):\n    return x / 2\n")
    (home / "mine_unused.py").write_text("answer = 42\n")
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "mine.yaml").write_text("# A net.\nname: mine\nwidth: 3   # unused\n")
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget():
        for name in ("mine_net", "mine_parts"):
            sys.modules.pop(name, None)

    forget()
    yield home, forget
    forget()


def keys_of(folder):
    return {place: entry["key"] for place, entry in records.levels(folder).items()}


def killed(*_):
    raise UsageError("killed in the midst of the first level")


def test_an_edited_forward_takes_no_old_level(package, run, lottery, tiny, capsys, monkeypatch):
    home, forget = package
    words = ["--config-dir", "own", "model=mine", "levels=1", "train.length=1ep"]
    folder = run(*words)
    first = keys_of(folder)
    assert set(records.read_run(folder)["code"]) == {"model"}
    helper, original = home / "mine_parts.py", (home / "mine_parts.py").read_text()
    helper.write_text(original.replace("x / 2", "x / 3"))
    (home / "mine_unused.py").write_text("answer = 43\n")
    forget()
    assert lottery("plan", *words, *(w for w in tiny if not w.startswith("model"))) == 0
    assert " 2 train" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr(levels, "train", killed)
        run(*words, code=2)
    assert capsys.readouterr().err.count("the source code of its model has changed since this run began") == 1
    record = records.read_run(folder)
    record["code"] |= {"branch gone": "as it was"}
    (folder / "run.json").write_text(json.dumps(records.signed(record)))
    run(*words)
    said = capsys.readouterr()
    assert "levels: 2 trained, 0 shared, 0 already there" in said.out
    assert not set(first.values()) & set(keys_of(folder).values())
    other = run(*words, "replicate=0", "name=other")
    assert lottery("diff", folder, other) == 0
    helper.write_text(original)
    forget()
    run(*words)  # put back: the old levels are found again, none is trained
    assert "levels: 0 trained, 0 shared, 2 already there" in capsys.readouterr().out
    assert keys_of(folder) == first
    assert len(records.read_run(folder)["drift"]) == 2
    assert records.read_run(folder)["code"]["branch gone"] == "as it was"
    assert lottery("plan", *words, *(w for w in tiny if not w.startswith("model"))) == 0
    assert " 2 train" not in capsys.readouterr().out
    assert lottery("diff", folder, other) == 1
    assert "source of components: not the same" in capsys.readouterr().out


def test_the_source_of_a_component_is_all_of_its_own_that_it_imports(tmp_path, monkeypatch):
    (tmp_path / "lib" / "inner").mkdir(parents=True)
    files = {
        "__init__.py": "", "inner/__init__.py": "from ..used import x",
        "net.py": "import torch, json\nfrom .inner import deep\ndef build(): from lib import late\n",
        "inner/deep.py": "import lib.far", "far.py": "y = 1", "used.py": "x = 1", "late.py": "z = 1",
        "unused.py": "w = 1",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / "lib" / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = set(source_hash.Package("lib.net", None).hashes())
    assert found == {
        "lib", "lib.net", "lib.inner", "lib.inner.deep", "lib.far", "lib.used", "lib.late",
    }  # fmt: skip
    assert source_hash.hash_of(["gone_module"], None) == source_hash.UNREADABLE
    assert source_hash.hash_of(["lottery.components.models.lenet"], None) == source_hash.UNREADABLE
    for number in (1, 2):  # of two distributions in one place only what is named is one's own
        (tmp_path / f"d{number}.dist-info").mkdir()
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "alone.py").write_text("import beside")
    assert set(source_hash.Package("alone", None).hashes()) == {"alone"}
    (tmp_path / "d2.dist-info").rmdir()
    assert set(source_hash.Package("alone", None).hashes()) == {"alone", "beside"}


@pytest.fixture
def pictures(tmp_path):
    """Make split/class/NN.bmp of noise, bright and dark; return the folder."""
    folder = tmp_path / "data" / "images"
    for split, each in (("train", 6), ("val", 2), ("test", 3)):
        for label, name in enumerate(("ant", "bee")):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(each):
                draw = seeds.generator(split, name, number)
                noise = torch.randint(0, 99, (6, 6, 3), generator=draw) + 100 * label
                Image.fromarray(noise.to(torch.uint8).numpy()).save(place / f"{number:02}.bmp")
    return folder


@pytest.fixture
def known(tmp_path):
    """Return the fingerprint of the pictures, streamed or decoded."""
    node = yaml.safe_load((build.conf_dir() / "dataset" / "image_folder.yaml").read_text())

    def call(**changed):
        bound = build.bind("dataset", node | {"workers": 0, "size": 6} | changed, "dataset")
        return bound(tmp_path / "data").fingerprint

    return call


def flip(path):
    """Change one byte of a file and nothing else that may be set: not its size, not its time."""
    about = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize(
    ("split", "stream"),
    [("train", "yes"), pytest.param("val", "yes", marks=pytest.mark.slow), ("test", "no")],
)
def test_one_byte_makes_other_data_and_a_place_or_a_time_does_not(pictures, known, split, stream):
    first = known(stream=stream)
    for path in pictures.rglob("*.bmp"):
        os.utime(path, (0, 0))
    assert known(stream=stream) == first
    pictures.rename(pictures.with_name("moved"))
    assert known(stream=stream, path="moved") == first
    shutil.copytree(pictures.with_name("moved"), pictures)
    assert known(stream=stream) == first
    flip(pictures / split / "bee" / "01.bmp")
    changed = known(stream=stream)
    assert changed != first
    flip(pictures / split / "bee" / "01.bmp")
    assert known(stream=stream) == first
    assert known(stream=stream, size=5) not in (first, changed)
    (pictures / split / "bee" / "01.bmp").rename(pictures / split / "bee" / "09.bmp")
    assert known(stream=stream) != first  # the order is part of the batches


@pytest.fixture
def hashing(monkeypatch):
    """Return the files that were hashed since it was asked last."""
    done, hash_of = [], contents.hash_of
    monkeypatch.setattr(contents, "hash_of", lambda path: done.append(path) or hash_of(path))

    def call():
        names = sorted(Path(path).name for path in done)
        done.clear()
        return names

    return call


def test_each_content_is_hashed_once(pictures, known, hashing, tmp_path):
    first = known(stream="yes")
    assert len(hashing()) == 22
    assert known(stream="yes") == known(stream="yes", size=6) == first
    known(stream="no")
    assert hashing() == []
    os.utime(pictures / "train" / "ant" / "03.bmp")
    shutil.copy(pictures / "test" / "ant" / "00.bmp", pictures / "test" / "ant" / "new.bmp")
    (pictures / "val" / "ant" / "00.bmp").unlink()
    second = known(stream="yes")
    assert second != first
    assert hashing() == ["03.bmp", "new.bmp"]
    (kept,) = (tmp_path / "data" / "cache").glob("*.hashes")
    good = kept.read_bytes()

    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    for garbage in (b"", b"x" * 99, good[:-9], good[:40] + b"y" + good[41:], pickle.dumps(Bomb())):
        kept.write_bytes(garbage)
        assert known(stream="yes") == second
        assert len(hashing()) == 22
        assert kept.read_bytes() == good
    assert known(stream="yes") == second
    assert hashing() == []
    assert not (tmp_path / "exploded").exists()


def test_hashes_are_kept_elsewhere_where_data_cannot_be_written(
    pictures, known, hashing, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(contents, "SPARE", tmp_path / "spare")
    (tmp_path / "data" / "cache").write_text("in the way")
    first = known(stream="yes")
    assert len(hashing()) == 22
    assert known(stream="yes") == first
    assert hashing() == []
    assert capsys.readouterr().err == ""
    shutil.rmtree(tmp_path / "spare")
    (tmp_path / "spare").write_text("in the way, too")
    assert known(stream="yes") == first
    assert len(hashing()) == 22
    assert capsys.readouterr().err.count("the next start hashes every file again") == 1


def test_a_file_as_young_as_the_clock_is_coarse_is_hashed_again(pictures, known, hashing, monkeypatch):
    """It may be written once more and keep its size and its times."""
    path = pictures / "train" / "ant" / "00.bmp"
    now = path.stat().st_ctime_ns
    with monkeypatch.context() as stuck:
        stuck.setattr(contents, "wait_for_clock", id)
        stuck.setattr(time, "time_ns", lambda: now + contents.TICK - 1)
        known(stream="yes")
    hashing()
    known(stream="yes")
    assert "00.bmp" in hashing()
    known(stream="yes")
    assert hashing() == []
    young = contents.SEEN.pack(1, 0, 5 * 10**9, 1)  # whole seconds: the clock of that disk
    assert not contents.settled(young, 6 * 10**9)
    assert contents.settled(young, 8 * 10**9)


def test_two_processes_hash_at_once(pictures, known, tmp_path):
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            os._exit(0 if len(folders.find_tree(pictures).hashed(tmp_path / "data").sha) == 22 else 9)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    (kept,) = (tmp_path / "data" / "cache").glob("*.hashes")
    assert len(contents.read(kept)[2]) == 22


def test_what_is_read_is_what_was_hashed(pictures, tmp_path):
    files = folders.find_tree(pictures).hashed(tmp_path)
    path = Path(files.paths[3])
    data = path.read_bytes()
    assert files.read(3) == data
    path.unlink()
    path.write_bytes(data)  # copied back: another inode, the same content
    assert files.read(3) == data
    flip(path)
    with pytest.raises(UsageError, match="has changed since this command began") as caught:
        files.read(3)
    assert str(path) in str(caught.value)
    path.unlink()
    with pytest.raises(UsageError, match="is gone since this command began"):
        files.read(3)
    os.mkfifo(path)
    with pytest.raises(UsageError, match="no plain file"):
        files.read(3)


STREAMED = [
    "dataset=image_folder", "data=data", "dataset.size=6", "dataset.stream=yes", "dataset.workers=0",
    "dataset.crop=0", "model=lenet_300_100", "model.hidden=[4]", "train.batch_size=4",
    "train.length=4ep", "evaluate_every=1ep", "levels=1", "host.threads=1", "host.progress=none",
]  # fmt: skip


def test_pictures_that_change_under_a_run_stop_it(pictures, lottery, tmp_path, monkeypatch, capsys):
    path = pictures / "train" / "ant" / "02.bmp"
    record = train.record

    def meddle(training, watch):
        record(training, watch)
        if training.step == 6:
            flip(path)

    with monkeypatch.context() as patch:
        patch.setattr(train, "record", meddle)
        assert lottery("run", *STREAMED) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{path} has changed since this command began" in said.replace("data/images", str(pictures))
    assert not list(tmp_path.glob("outputs/store/*/manifest.json"))
    assert lottery("run", *STREAMED) == 2
    assert "the data set has changed since this run began" in capsys.readouterr().err
    flip(path)
    os.utime(path)  # restored, though later
    assert lottery("run", *STREAMED) == 0
    assert "2 trained, 0 shared" in capsys.readouterr().out


def test_a_table_of_densities_that_changes_under_a_run_stops_it(
    run, lottery, tiny, tmp_path, monkeypatch, capsys
):
    table = tmp_path / "table.csv"
    table.write_text("layer,density\nlayers.0,0.5\nfc,0.9\n")
    words = ["prune/allocation=given", "prune.allocation.path=table.csv", "train.length=1ep"]
    write = loop.Tables.write

    def meddle(self):
        write(self)
        if len(self.locked.ledger.levels) == 2:
            table.write_text("layer,density\nlayers.0,0.9\nfc,0.5\n")

    monkeypatch.setattr(loop.Tables, "write", meddle)
    folder = run(*words, code=2)
    assert "a table of layer densities has changed since this run began" in capsys.readouterr().err
    assert set(keys_of(folder)) == {"level_00", "level_01"}


def test_a_run_of_an_earlier_format_is_refused_and_stays(run, lottery, tiny, capsys, tmp_path):
    folder = run("levels=0", "train.length=1ep")
    record = {k: v for k, v in records.read_run(folder).items() if k not in ("format", "code")}
    (folder / "run.json").write_text(json.dumps(records.signed(record)))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    words = ["run", *tiny, "levels=0", "train.length=1ep"]
    capsys.readouterr()
    assert lottery(*words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "was begun by another version of lottery" in said
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    asked = said.split()[-1]
    assert asked == f"name={folder.parents[1].name}_again"
    assert lottery(*words, asked) == 0
    assert lottery("show", folder) == 0


def test_of_patterns_the_order_is_part_of_what_a_run_is_known_by():
    """The first that fits counts, so two orders are two masks; a single one has no order."""
    from lottery.config.identity import in_order

    one = {"prune": {"allocation": {"rates": {"conv*": 0.5, "fc": 0.75}}}}
    other = {"prune": {"allocation": {"rates": {"fc": 0.75, "conv*": 0.5}}}}
    spelled = [json.dumps(in_order(each), sort_keys=True) for each in (one, other)]
    assert spelled[0] != spelled[1]
    alone = {"prune": {"allocation": {"rates": {"fc": 0.5}}}, "train": {"optimizer": {"groups": {"a": {}}}}}
    assert in_order(alone) == alone


def test_no_groups_are_none_however_that_is_typed():
    from lottery.config.identity import as_before

    spelled = [{"train": {"optimizer": {"name": "sgd", "groups": none}}} for none in ({}, None)]
    assert [as_before(each) for each in spelled] == [{"train": {"optimizer": {"name": "sgd"}}}] * 2

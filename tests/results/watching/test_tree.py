"""What lies on the disk is noticed when it changes, and a look costs no more where nothing does."""

import os
import shutil
from types import SimpleNamespace

import pytest

from lottery.results.watching import tree as trees
from lottery.results.watching.tree import Tree


def age(folder, seconds=100):
    """Let everything have been written long ago, as finished runs have been."""
    for path in [folder, *folder.rglob("*")]:
        about = os.stat(path)
        os.utime(path, ns=(about.st_mtime_ns - seconds * 10**9,) * 2)


@pytest.fixture
def asked(monkeypatch):
    """Count what the disk is asked."""
    found = []

    def counted(ask):
        return lambda path: found.append(path) or ask(path)

    stand_in = SimpleNamespace(stat=counted(os.stat), listdir=counted(os.listdir))
    monkeypatch.setattr(trees, "os", stand_in)
    return found


def test_runs_are_found_and_changes_are_seen(fabricate, outputs):
    one, two = fabricate(), fabricate(replicate=1)
    tree = Tree([outputs])
    assert tree.look().runs == {one: True, two: True}
    age(outputs)
    tree.look()
    assert tree.look().runs == {one: False, two: False}
    (two / "metrics.csv").write_text("x")
    assert tree.look().runs == {one: False, two: True}
    three = fabricate(name="another", ident="bbbbbbbbbb")
    assert tree.look().runs[three] is True
    shutil.rmtree(one)
    assert tree.look().gone == {one}
    shutil.rmtree(outputs)
    assert tree.look().gone >= {two, three}
    assert tree.runs == set()
    fabricate(ident="cccccccccc")
    assert len(tree.look().runs) == 1


def test_a_folder_becomes_a_run_with_its_record_and_none_without(fabricate, outputs):
    folder = fabricate()
    (folder / "run.json").rename(folder / "aside")
    tree = Tree([outputs])
    assert tree.look().runs == {}
    (folder / "aside").rename(folder / "run.json")
    assert tree.look().runs == {folder: True}
    (folder / "run.json").unlink()
    seen = tree.look()
    assert (seen.runs, seen.gone) == ({}, {folder})


def test_a_look_costs_the_same_beside_any_number_of_runs_that_do_not_change(fabricate, outputs, asked):
    costs = []
    for count in (10, 40):
        for k in range(len(list(outputs.glob("*/*"))) if outputs.exists() else 0, count):
            fabricate(ident=f"{k:010d}")
        age(outputs)
        tree = Tree([outputs])
        tree.look()
        asked.clear()
        tree.look(most=5)
        costs.append(len(asked))
    assert 0 < costs[1] <= costs[0] <= 5 * len(trees.FILES) + 2


def test_in_turns_every_run_is_looked_at(fabricate, outputs):
    folders = {fabricate(ident=f"{k:010d}") for k in range(7)}
    tree = Tree([outputs])
    tree.look()
    seen = set()
    for _ in range(len(tree.turns)):
        seen |= tree.look(most=1).runs.keys()
    assert seen == folders


def test_those_at_work_are_looked_at_each_time(fabricate, outputs):
    folders = [fabricate(ident=f"{k:010d}") for k in range(7)]
    tree = Tree([outputs])
    tree.look()
    for _ in range(3):
        assert folders[3] in tree.look([folders[3]], most=0).runs


def test_a_time_that_has_just_been_proves_nothing(tmp_path):
    path = tmp_path / "x"
    path.write_text("a")
    assert trees.stamp_of(path) != trees.stamp_of(path)
    age(tmp_path)
    assert trees.stamp_of(path) == trees.stamp_of(path)
    assert trees.stamp_of(tmp_path / "none") == trees.stamp_of(path / "none") == ()


def test_the_store_and_other_files_are_passed_by(fabricate, outputs):
    folder = fabricate()
    for place in ("store/aa/replicate_0", "boards/x/replicate_0", "a/b/level_00", "a/b/replicate_x"):
        (outputs / place).mkdir(parents=True)
        (outputs / place / "run.json").write_text("{}")
    (outputs / "file").write_text("")
    assert Tree([outputs]).look().runs == {folder: True}


def test_a_folder_that_may_not_be_read_is_told_until_it_may(fabricate, outputs, monkeypatch):
    folder = fabricate()

    def listdir(path):
        if path == folder.parent:
            raise PermissionError(13, "Permission denied")
        return os.listdir(path)

    monkeypatch.setattr(trees, "os", SimpleNamespace(stat=os.stat, listdir=listdir))
    tree = Tree([outputs])
    assert tree.look().runs == {}
    assert tree.told == {folder.parent: f"{folder.parent} is left out: Permission denied"}
    monkeypatch.undo()
    assert tree.look().runs == {folder: True}
    assert tree.told == {}

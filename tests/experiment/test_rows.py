"""The tables of a run: what the monitors saw, overlaps of masks, warnings of collapse."""

import os
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import lottery as package
from lottery.experiment.tables import shared
from lottery.storage.links import follow
from lottery.storage.store import Shelf
from lottery.terms.kept import mask_of
from lottery.terms.overlap import overlap


def mask(folder, index):
    return mask_of(Shelf(folder.parents[2], follow(folder / f"level_{index:02d}")))


def jaccard(a, b):
    both = sum(int((a[n] & b[n]).sum()) for n in a)
    return both / sum(int((a[n] | b[n]).sum()) for n in a)


def test_layers_say_what_became_of_each(run):
    folder = run()
    table = pd.read_csv(folder / "layers.csv")
    assert set(table.columns) == {
        "level", "compression", "layer", "kept", "total", "density", "effective", "dead_outputs",
        "outputs", "collapsed", "sign_changes", "moved", "moved_relative", "overlap", "by_chance",
    }  # fmt: skip
    dense = table[table["level"] == 0]
    assert (dense["effective"] == dense["total"]).all()
    assert (dense["dead_outputs"] == 0).all()
    assert dense["overlap"].isna().all()
    assert not table["collapsed"].any()
    assert (table["moved"] > 0).all()
    metrics = pd.read_csv(folder / "metrics.csv")
    for level, row in metrics.iterrows():
        here = table[table["level"] == level]
        assert row["effective_density"] == here["effective"].sum() / here["total"].sum()
        assert row["collapsed_layers"] == 0


def test_a_nested_mask_overlaps_by_what_is_left(run):
    folder = run()
    table = pd.read_csv(folder / "layers.csv")
    for level in (1, 2):
        here = table[table["level"] == level].set_index("layer")
        before = table[table["level"] == level - 1].set_index("layer")
        expected = here["kept"] / before["kept"]  # the mask is within that of the level before
        assert here["overlap"].tolist() == pytest.approx(expected.tolist())


def test_masks_of_other_methods_of_the_replicate_are_compared(run, capsys):
    one = run("prune=magnitude_init")
    other = run("prune=random")
    run("prune=random", "replicate=1")  # another replicate, another dense net
    run("prune=snip", "schedule.keep=0.5")  # other counts
    every = package.load(other.parents[2]).overlaps
    table = every[every["id"] == other.parent.name]
    assert table["level"].tolist() == [1, 2]
    assert set(table["other_id"]) == {one.parent.name}
    for row in table.itertuples():
        a, b = mask(other, row.level), mask(one, row.other_level)
        assert row.overlap == pytest.approx(jaccard(a, b))
        assert row.by_chance == pytest.approx(overlap(shared(a[n], b[n]) for n in a)[1])
    back = every[every["id"] == one.parent.name]
    assert back["overlap"].tolist() == pytest.approx(table["overlap"].tolist())
    assert not len(package.load(other.parents[2], "prune=random").overlaps)  # among those shown
    assert not list(other.parents[2].glob("*/*/*/overlaps.csv"))
    path = one / "level_01" / "mask.safetensors"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.warns(UserWarning, match="mask.safetensors is damaged"):
        left = package.load(other.parents[2]).overlaps
    assert set(left["level"]) == {2}


def test_a_collapse_is_warned_of_with_layer_and_compression(run, capsys):
    """Three of 80 weights kept, all in the first layer."""
    folder = run("schedule=listed", "schedule.densities=[0.5,0.036]", "prune=random", "replicate=1")
    err = capsys.readouterr().err
    assert "level 2: layer collapse at 26.67x compression: " in err
    table = pd.read_csv(folder / "layers.csv")
    lost = table[(table["level"] == 2) & table["collapsed"]]
    assert len(lost) >= 1
    assert "fc without a weight left; no signal reaches the output" in err
    assert pd.read_csv(folder / "metrics.csv")["collapsed_layers"][2] == len(lost)
    assert not table[table["level"] < 2]["collapsed"].any()


def test_a_level_with_a_collapse_is_warned_of_again_when_it_is_there(run, capsys):
    words = ["schedule=listed", "schedule.densities=[0.036]", "prune=random", "levels=1", "replicate=1"]
    run(*words)
    first = capsys.readouterr().err
    run(*words)
    assert capsys.readouterr().err == first
    assert "layer collapse" in first


def test_moved_and_signs_are_those_of_ticket_and_end(run):
    from safetensors.torch import load_file

    folder = run("levels=1")
    table = pd.read_csv(folder / "layers.csv").query("level == 1").set_index("layer")
    start = load_file(folder / "level_01" / "ticket.safetensors")
    end = load_file(folder / "level_01" / "end.safetensors")
    for name, keep in mask(folder, 1).items():
        a, b = start[f"weights/{name}"][keep], end[f"weights/{name}"][keep]
        row = table.loc[name.removesuffix(".weight")]
        assert row["moved"] == pytest.approx(float(torch.dist(a, b)))
        assert row["sign_changes"] == pytest.approx(float((a.sign() != b.sign()).float().mean()))


OPENED: list[str] = []  # paths that were opened or listed while `watching` was on
WATCHING = [False]


def audit(event, arguments):
    if WATCHING[0] and event in ("open", "os.listdir", "os.scandir") and arguments[0] is not None:
        OPENED.append(os.path.abspath(arguments[0]) if isinstance(arguments[0], str | Path) else "")


@pytest.fixture(scope="module")
def watched():
    """Return a function that says how often what lies in a folder was opened or listed by a call."""
    sys.addaudithook(audit)  # for good: there is no way to take one off

    def call(folder, work):
        OPENED.clear()
        WATCHING[0] = True
        try:
            work()
        finally:
            WATCHING[0] = False
        return [path for path in OPENED if path.startswith(str(folder))]

    return call


def beside(outputs, number):
    """Fabricate other runs, with levels of their own in the store, one of them half-way."""
    for index in range(number):
        folder = outputs / f"other_{index % 7}" / f"{index:010x}" / "replicate_0"
        shelf = outputs / "store" / f"{index:032x}"
        for place in (folder, shelf):
            place.mkdir(parents=True)
            (place / "manifest.json").write_text("{}")
        (folder / "run.json").write_text("{}")
    (outputs / "store" / f"{0:032x}" / "manifest.json").unlink()
    (outputs / "other_0" / f"{0:010x}" / "replicate_0" / "metrics.csv").write_text("odd")


@pytest.mark.parametrize(
    ("words", "times"),  # the second finds all that is there
    [(["levels=1"], 2), (["-m", "prune=random,magnitude_init", "levels=1"], 1)],
    ids=["run", "sweep"],
)
def test_a_run_opens_as_many_files_beside_a_thousand_others_as_beside_none(
    words, times, lottery, tiny, tmp_path, watched
):
    lottery("run", *tiny, "levels=0", "outputs=first")  # what is imported and cached is
    counts = []
    for number in (0, 1000):
        outputs = tmp_path / f"beside_{number}"
        (outputs / "store").mkdir(parents=True)  # a folder is synced when the first goes into it
        if number:
            beside(outputs, number)
        found = [
            watched(outputs, lambda to=outputs: lottery("run", *tiny, *words, f"outputs={to}"))
            for _ in range(times)
        ]
        counts.append([len(each) for each in found])
        assert not [path for each in found for path in each if "/other_" in path]
        shutil.rmtree(outputs)
    assert counts[0] == counts[1]
    assert min(counts[0]) > 10

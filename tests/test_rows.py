"""The tables of a run: what the monitors saw, overlaps of masks, warnings of collapse."""

import pandas as pd
import pytest
import torch

from lottery import levels
from lottery.storage.links import follow
from lottery.storage.store import Shelf


def mask(folder, index):
    return levels.mask_of(Shelf(folder.parents[2], follow(folder / f"level_{index:02d}")))


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
    table = pd.read_csv(other / "overlaps.csv")
    assert table["level"].tolist() == [1, 2]
    assert set(table["other_id"]) == {one.parent.name}
    for row in table.itertuples():
        a, b = mask(other, row.level), mask(one, row.other_level)
        assert row.overlap == pytest.approx(jaccard(a, b))
    run("prune=magnitude_init")  # again: the runs that came later are there now
    again = pd.read_csv(one / "overlaps.csv")
    assert again["overlap"].tolist() == pytest.approx(table["overlap"].tolist())


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

"""Layer collapse of a narrow VGG-16 (Tanaka et al. 2020): who keeps every layer alive."""

import pandas as pd
import pytest

VGG = [
    "model=vgg16_bn", "model.width=8", "model.bn_scale=ones", "dataset=synthetic",
    "dataset.examples=40", "dataset.test_examples=10", "dataset.validation=0", "dataset.size=16",
    "train.length=1it", "train.batch_size=20", "levels=2", "schedule=listed", "host.threads=1",
    "schedule.densities=[0.01,0.001]", "host.progress=none", "prune.nested=false",
]  # fmt: skip


def collapsed(lottery, tmp_path, *words):
    assert lottery("-v", "run", *VGG, *words) == 0
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    table = pd.read_csv(folder / "layers.csv")
    return {level: list(g["layer"][g["collapsed"]]) for level, g in table.groupby("level")}


def test_synflow_keeps_every_layer_alive(lottery, tmp_path, capsys):
    found = collapsed(lottery, tmp_path, "prune=synflow", "prune.rounds=25")
    assert found == {0: [], 1: [], 2: []}
    assert "collapse" not in capsys.readouterr().err


@pytest.mark.parametrize("method", ["magnitude_init", "snip"])
def test_one_shot_methods_lose_layers_and_the_monitor_names_them(lottery, tmp_path, capsys, method):
    found = collapsed(lottery, tmp_path, f"prune={method}")
    assert found[0] == []
    assert found[2]
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    layers = pd.read_csv(folder / "layers.csv").query("level == 2 and kept == 0")["layer"].tolist()
    (line,) = [w for w in capsys.readouterr().err.splitlines() if "warning: level 2" in w]
    assert line.startswith("warning: level 2: layer collapse at 998.6x compression: ")
    assert layers[0] in line
    assert "; no signal reaches the output (prune/allocation=uniform " in line


def test_synflow_in_one_round_collapses_where_many_do_not(lottery, tmp_path):
    """Section 5 of the paper: without iterations the scores of a layer fall with its size."""
    assert collapsed(lottery, tmp_path, "prune=synflow", "prune.rounds=1")[2]

"""SynFlow's theory, layer scans and BatchNorm's features, held against computations by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import spearmanr
from torch import nn

from lottery.components.analyses.collapse import bisected
from lottery.components.analyses.conservation import conservation, derived, laws
from lottery.components.analyses.features import counted, scales
from lottery.components.analyses.layer_scan import layer_scan, spearman
from lottery.config import build
from lottery.errors import UsageError
from lottery.nets.graph import trace
from lottery.storage.settings import read_settings


class Images:
    """A task of one made-up example."""

    def __init__(self, *shape):
        self.shape = shape

    def example(self, number):
        return torch.ones(number, *self.shape)

    def inputs(self, batch):
        return (batch,)


def flows(net, task, signal):
    """Return the laws of R = the sum of the outputs, by layer."""
    net = net.double().eval()
    graph = trace(net, task)
    own = list(graph.outputs)
    found = laws(net, graph, own, derived(net, lambda: net(signal.double()).sum()))
    return dict(zip(own, found, strict=True))


def table(folder, name):
    (path,) = folder.glob(f"analyses/{name}-*.csv")
    return pd.read_csv(path)


def test_scores_that_enter_a_unit_leave_it():
    """Two inputs, two hidden units, one output, written out: R = sum_j w2_j relu(w1_j . x + b_j)."""
    w1, b, w2, x = np.array([[1.0, 2.0], [3.0, -5.0]]), np.array([0.5, 1.0]), np.array([2.0, 7.0]), np.ones(2)
    hidden = np.maximum(w1 @ x + b, 0)  # 3.5 and 0
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(w1)), net[0].bias.copy_(torch.tensor(b))
        net[2].weight.copy_(torch.tensor(w2)[None])
    found = flows(net, Images(2), torch.ones(1, 2))
    on, total = hidden > 0, float(w2 @ hidden)  # 7
    assert found["0.weight"]["share"] == pytest.approx((w1 * x * w2[:, None] * on[:, None]).sum() / total)  # 6 / 7
    assert found["0.weight"]["bias"] == pytest.approx((b * w2 * on).sum() / total)  # 1 / 7
    assert found["2.weight"]["share"] == pytest.approx(1)
    assert all(each["apart"] < 1e-12 for each in found.values())
    assert found["0.weight"]["violation"] < 1e-12 and math.isnan(found["2.weight"]["violation"])


@pytest.mark.parametrize(("between", "holds"), [(nn.ReLU(), True), (nn.LeakyReLU(0.2), True), (nn.Tanh(), False), (nn.GELU(), False)])
def test_only_homogeneous_activations_conserve(between, holds):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), between, nn.Linear(4, 2))
    worst = flows(net, Images(3), torch.ones(1, 3))["0.weight"]
    assert (worst["violation"] < 1e-12) == holds and (worst["apart"] < 1e-12) == holds


def test_a_batchnorm_in_evaluation_mode_is_a_scale_and_a_shift():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2)
    )
    for tensor in (net[1].running_mean, net[1].weight.data, net[1].bias.data):
        tensor.normal_()
    net[1].running_var.uniform_(0.5, 2)
    found = flows(net, Images(1, 6, 6), torch.rand(1, 1, 6, 6))
    assert all(each["apart"] < 1e-12 for each in found.values()) and found["0.weight"]["violation"] < 1e-12
    assert found["0.weight"]["bias"] != 0


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 2, bias=False)

    def forward(self, x):
        x = self.a(x).relu()
        return self.c((x + self.b(x)).relu())


def test_a_unit_beside_a_skip_is_all_that_writes_and_reads_it():
    torch.manual_seed(0)
    found = flows(Skip(), Images(3), torch.ones(1, 3))
    assert found["a.weight"]["share"] == pytest.approx(1) == found["c.weight"]["share"]
    assert abs(found["b.weight"]["share"] - 1) > 1e-3  # the skip has the rest
    assert found["a.weight"]["violation"] < 1e-12 and math.isnan(found["a.weight"]["apart"])


@pytest.mark.slow
def test_conservation_of_a_run(lottery, tiny, tmp_path):
    assert lottery("run", *tiny, "levels=1", "name=one", "analysis=[conservation]", "analyses.conservation.at=end") == 0
    (folder,) = tmp_path.glob("outputs/one/*/replicate_0")
    found = table(folder, "conservation")
    assert found["layer"].tolist() == ["layers.0", "fc", "all"] * 2
    for word in ("synflow", "loss"):
        assert (found[[f"{word}_apart", f"{word}_violation"]].max() < 1e-9).all()
    assert found.query("level == 1 and layer == 'all'")["weights"].item() == 64  # 80 % of 80


def test_units_that_attention_mixes_have_no_number(lottery, tiny, tmp_path):
    words = [w for w in tiny if not w.startswith("model")]
    vit = ["model=vit", "model.depth=1", "model.width=8", "model.heads=2", "levels=0"]
    assert lottery("run", *words, *vit, "train.length=1it", "name=one", "analysis=[conservation]") == 0
    (folder,) = tmp_path.glob("outputs/one/*/replicate_0")
    found = table(folder, "conservation").set_index("layer")
    assert found["synflow_apart"].isna().all()  # no chain
    assert math.isnan(found.loc["blocks.0.attn.proj", "synflow_violation"])
    assert found.loc["blocks.0.up", "synflow_violation"] > 0.01  # GELU
    assert found.loc["fc", "synflow_share"] + found.loc["fc", "synflow_bias"] == pytest.approx(1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.fc = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.cells(x)[0][:, -1])


def test_what_cannot_be_followed_is_said_and_has_shares_alone():
    class Level:
        task, said = Images(5, 3), []
        ticket = end = type("Has", (), {"weights": {}})()

        def net(self, weights):
            return Recurrent()

        def warn(self, said):
            self.said.append(said)

        def advance(self, said):
            pass

    level = Level()
    rows = conservation(level, of=["synflow"], at="start", examples=1)[""]
    assert len(level.said) == 1 and "cannot be followed" in level.said[0]
    assert rows[-2]["layer"] == "fc" and math.isfinite(rows[-2]["synflow_share"])
    assert all(math.isnan(row["synflow_violation"]) for row in rows)


class Cutter:
    """A level of 100 weights in two layers, of 90 and of 10."""

    def __init__(self):
        self.ticket = type("Ticket", (), {"weights": {}})()
        self.mask = {"a": torch.ones(90, dtype=torch.bool), "b": torch.ones(10, dtype=torch.bool)}
        self.asked = []

    def make(self, weights, mask, density):
        """Empty the second layer below 30 weights."""
        number = round(density * 100)
        self.asked.append(number)
        small = max(0, min(10, number - 29))
        counts = {"a": number - small, "b": small}
        return {name: torch.arange(len(keep)) < counts[name] for name, keep in mask.items()}


def test_bisection_finds_the_last_number_that_keeps_every_layer():
    level = Cutter()
    assert bisected(level, level.make, level.mask, 1e-9) == (30, 29, ["b"])
    assert level.asked[0] == 2 and len(level.asked) < 9
    high, low, empty = bisected(level, level.make, level.mask, 0.5)
    assert low < 30 <= high <= 1.5 * low and empty == ["b"]
    assert bisected(level, lambda w, m, d: m, level.mask, 0.1) == (2, 0, [])  # nothing is ever empty


@pytest.mark.slow
def test_magnitude_collapses_where_its_sorted_weights_say(lottery, tiny, tmp_path):
    words = ["analysis=[collapse]", "analyses.collapse.methods=[magnitude_init,synflow,synflow+rounds:1]", "analyses.collapse.apart=1e-6"]
    assert lottery("run", *tiny, "levels=0", "train.length=1it", "name=one", *words) == 0
    (folder,) = tmp_path.glob("outputs/one/*/replicate_0")
    found = table(folder, "collapse").set_index("mask")
    assert found["maximal"].tolist() == [40.0] * 3 and found["layers"].tolist() == [2] * 3  # 64 + 16 weights
    begun = load_file(folder / "level_00" / "ticket.safetensors")
    sizes = [begun[f"weights/{n}.weight"].abs().flatten() for n in ("layers.0", "fc")]
    last = min(float(s.max()) for s in sizes)  # of the layer that is empty first
    needed = sum(int((s >= last).sum()) for s in sizes)
    assert found.loc["magnitude_init", "critical"] == pytest.approx(80 / needed)
    assert found.loc["synflow", "critical"] == 40 and found.loc["synflow", "share"] == 1


def test_ranks_are_scipys_with_ties():
    for one, other in (([1, 2, 2, 5], [3.0, 1, 1, 0]), ([0.1, 0.5, 0.2], [1, 2, 3]), ([1, 1, 2, 2], [4, 4, 4, 5])):
        assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert spearman([3, math.nan, 1, 2], [9, 8, 1, 5]) == pytest.approx(1)  # an empty layer does not count


class Scanned:
    """A net of two layers, one of them empty, whose method cannot be asked of the layer "c"."""

    def __init__(self, error):
        self.error, self.said = error, []
        self.mask = {"a.weight": torch.ones(9) > 0, "b.weight": torch.zeros(5) > 0, "c.weight": torch.ones(3) > 0}
        self.end = type("End", (), {"weights": {n: torch.ones(len(k)) * k for n, k in self.mask.items()}})()
        self.task = type("Task", (), {"size": lambda self, split: 1})()

    def method(self, words):
        def make(weights, mask, density):
            if "c.weight" in mask:
                raise UsageError("it has no such scores")
            return {n: torch.arange(len(k)) < round(density * len(k)) for n, k in mask.items()}

        return make

    def net(self, weights):
        return weights

    def measure(self, net, split):
        return {"error": self.error * (10 - int(net["a.weight"].sum()))}

    def advance(self, said):
        pass

    def warn(self, said):
        self.said.append(said)


@pytest.mark.parametrize(("error", "tolerated"), [(0.1, 0.5), (math.nan, math.nan)])
def test_a_layer_of_which_nothing_can_be_said_has_no_number(error, tolerated):
    level = Scanned(error)
    found = layer_scan(level, method="own", densities=[0.5, 0.1], tolerance=0.55)
    first, empty, refused, whole = (row["tolerated"] for row in found[""])
    assert first == pytest.approx(tolerated, nan_ok=True)
    assert math.isnan(empty) and math.isnan(refused) and math.isnan(whole)
    assert [(p["layer"], p["layer_density"]) for p in found["points"]] == [("a", 0.5), ("a", 0.1)]
    assert level.said == ["layer_scan: prune=own cannot be asked of this net: it has no such scores"]


@pytest.mark.slow
def test_a_layer_scan_that_has_test_data_alone_says_so(lottery, tiny, tmp_path):
    words = ["analysis=[layer_scan]", "analyses.layer_scan.densities=[0.5]", "dataset.validation=0", "train.length=1it"]
    assert lottery("run", *tiny, "levels=0", *words) == 0
    (record,) = tmp_path.glob("outputs/*/*/replicate_0/run.json")
    assert "judged by the test split" in record.read_text()


def test_each_layer_is_pruned_alone(lottery, tiny, tmp_path):
    words = ["analysis=[layer_scan]", "analyses.layer_scan.densities=[0.5,0.1]", "analyses.layer_scan.tolerance=0.05"]
    assert lottery("run", *tiny, "levels=1", "name=one", *words) == 0
    (folder,) = tmp_path.glob("outputs/one/*/replicate_0")
    rows, points = table(folder, "layer_scan"), table(folder, "layer_scan_points")
    assert rows["layer"].tolist() == ["layers.0", "fc", "all"] * 2 and len(points) == 8
    parts = build.parts(read_settings(folder))
    task = parts.dataset(folder).prepare(batch_size=12, device=torch.device("cpu"))
    net = parts.model(task).eval()
    end = {k.removeprefix("weights/"): v for k, v in load_file(folder / "level_01" / "end.safetensors").items() if k.startswith("weights/")}
    whole = 1 - score(net, task, end)
    assert rows.query("level == 1 and layer == 'all'")["val_error"].item() == pytest.approx(whole)
    for _, row in points[points["level"] == 1].iterrows():
        name = f"{row['layer']}.weight"
        flat = end[name].flatten()
        number = max(1, round(row["layer_density"] * int((flat != 0).sum())))
        cut = torch.zeros_like(flat)
        top = flat.abs().topk(number).indices
        cut[top] = flat[top]
        error = 1 - score(net, task, end | {name: cut.view_as(end[name])})
        assert row["val_error"] == pytest.approx(error)
    for _, row in rows[(rows["level"] == 1) & (rows["layer"] != "all")].iterrows():
        own = points[(points["level"] == 1) & (points["layer"] == row["layer"])]
        borne = own[own["val_error"] <= whole + 0.05]["layer_density"]
        assert row["tolerated"] == (borne.min() if len(borne) else 1)


def score(net, task, weights):
    net.load_state_dict(weights)
    return task.evaluate(net, "val")["accuracy"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["conservation", "of=[snip]"], "synflow, loss"), (["collapse", "methods=[synflow+round:1]"], "rounds"),
        (["layer_scan", "method=oen"], "oneshot"), (["features", "controls=[bn_onli]"], "bn_only"),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (
            (["conservation", "at=0it"], "start, end"), (["conservation", "examples=0"], "examples=100"),
            (["collapse", "apart=0"], "apart=0.02"), (["collapse", "methods=[synflo]"], "synflow"),
            (["collapse", "methods=[synflow+rounds:0]"], "below 1"), (["layer_scan", "densities=[1]"], "[0.5,0.2,0.1]"),
            (["layer_scan", "tolerance=-1"], "tolerance=0.01"), (["features", "below=0"], "below=0.01"),
        )),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_in_a_line(lottery, tiny, tmp_path, capsys, words, says):
    name, setting = words
    assert lottery("run", *tiny, f"analysis=[{name}]", f"analyses.{name}.{setting}") == 2
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1, line
    assert not (tmp_path / "outputs").exists()


def test_a_method_is_that_of_its_yaml():
    for name in ("snip", "synflow", "random"):
        how = build.method(f"{name}+rounds:7")
        assert how.rounds == 7 and how.criterion.func.__name__ == name
    assert build.method("snip+criterion.size:5").criterion.keywords["size"] == 5
    with pytest.raises(UsageError, match="it has no setting"):
        build.method("snip+criterion.sise:5")


BN = ["model=resnet20", "model.depth=8", "model.width=2", "train.length=3it", "levels=0", "branch_levels=[0]", "replicate=0"]


def tensors(folder, place, file):
    found = load_file(folder / place / f"{file}.safetensors")
    return {k.removeprefix("weights/"): v for k, v in found.items() if k.startswith("weights/")}


def moved(folder, branch):
    """Return how many entries of each parameter a branch of level 0 has moved."""
    start, end = (tensors(folder, f"level_00_{branch}", file) for file in ("ticket", "end"))
    return {n: int((start[n] != end[n]).sum()) for n in start if n.rpartition(".")[2] in ("weight", "bias") and start[n].is_floating_point()}


@pytest.mark.slow
@pytest.mark.parametrize("output", [False, True])
def test_controls_of_batchnorm_train_what_they_say(run, output):
    words = ["branch=[bn_only,bn_output,output_only,random_params]", f"branches.random_params.output={str(output).lower()}"]
    folder = run(*BN, *words, "train.length=3it", "analysis=[features]", "analyses.features.controls=[bn_only]")
    norms = {n for n in tensors(folder, "level_00", "end") if ".bn" in n or n.startswith("bn")}
    norms = {n for n in norms if n.rpartition(".")[2] in ("weight", "bias")}
    there = {"bn_only": norms, "bn_output": norms | {"fc.weight", "fc.bias"}, "output_only": {"fc.weight", "fc.bias"}}
    for branch, names in there.items():
        found = moved(folder, branch)
        assert {n for n, count in found.items() if count} <= names, branch
        assert all(found[n] for n in names if n.startswith("fc")), branch
    assert any(moved(folder, "bn_only").values())
    found = moved(folder, "random_params")
    begun = tensors(folder, "level_00_random_params", "ticket")
    for name, count in found.items():
        if name.startswith("fc"):
            assert bool(count) == output, name
        elif name in norms:
            assert count == 0, name
        else:
            assert count <= 2 * len(begun[name])
    branches = pd.read_csv(folder / "branches.csv").set_index("branch")
    features = sum(begun[n].numel() for n in norms if n.endswith("weight"))
    kept = round(branches.loc["random_params", "density"] * sum(begun[n].numel() for n in found if begun[n].dim() > 1))
    assert kept == 2 * features + (begun["fc.weight"].numel() if output else 0)
    every = table(folder, "features").set_index(["mask", "layer"])
    assert every.loc[("bn_only", "all"), "features"] == features
    end = tensors(folder, "level_00_bn_only", "end")
    off = sum(int((end[n].abs() < 0.01).sum()) for n in norms if n.endswith("weight"))
    assert every.loc[("bn_only", "all"), "off"] == off
    assert every.loc[("ticket", "all"), "share_off"] == every.loc[("ticket", "all"), "off"] / features


def test_features_of_a_net_without_batchnorm_are_none(run, capsys):
    folder = run("levels=1", "analysis=[features]")
    found = table(folder, "features")
    assert found["layer"].tolist() == ["all"] * 2 and found["features"].tolist() == [0, 0]
    assert found["share_off"].tolist() == [0.0, 0.0]
    assert capsys.readouterr().err.count("no BatchNorm with scales") == 1


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_every_batchnorm_with_scales_is_counted(kind):
    assert scales(kind(3)) and not scales(kind(3, affine=False)) and not scales(nn.LayerNorm(3))
    gamma = {"n.weight": torch.tensor([0.009, -0.009, 0.01, -1.0])}
    rows = counted("ticket", {"n.weight": torch.ones(4)}, gamma, ["n.weight"], 0.01)
    assert [(r["layer"], r["features"], r["off"], r["off_at_start"], r["share_off"]) for r in rows] == [
        ("n", 4, 2, 0, 0.5), ("all", 4, 2, 0, 0.5)]  # fmt: skip


@pytest.mark.parametrize("branch", ["shuffle", *(pytest.param(b, marks=pytest.mark.slow) for b in ("invert", "hold", "random"))])
def test_what_says_nothing_of_a_dense_net_is_refused(run, branch, capsys):
    assert run(f"branch=[{branch}]", "branch_levels=[0,1]", code=2) is None
    line = capsys.readouterr().err.splitlines()[-1]
    assert "level 0 is not pruned" in line and "branch_levels=null" in line
    run(f"branch=[{branch}]", "branch_levels=null", "levels=1")


@pytest.mark.slow
def test_the_branch_command_follows_up_the_dense_net(run, lottery, capsys):
    folder = run("levels=0")
    assert lottery("branch", folder, "branch=reinit", "levels=0") == 0
    assert pd.read_csv(folder / "branches.csv")[["level", "branch"]].to_numpy().tolist() == [[0, "reinit"]]
    assert lottery("branch", folder, "branch=shuffle", "levels=0") == 2
    assert lottery("branch", folder, "branch=reinit") == 2
    assert "levels=0 is the dense net" in capsys.readouterr().err


@pytest.mark.slow
def test_figures_draw_what_was_found_and_ask_which_where_there_are_several(run, lottery, capsys):
    folder = run("levels=1", "analysis=[collapse,layer_scan]", "analyses.collapse.methods=[random,magnitude_init]")
    for name in ("collapse", "layer_scan"):
        assert lottery("plot", f"figure={name}", folder, f"to={name}.png") == 0
    drawn = pd.read_csv("collapse.csv")
    found = table(folder, "collapse").query("level == 0")
    assert drawn["critical"].tolist() == pytest.approx(found["critical"].tolist())
    assert lottery("analyze", folder, "analysis=layer_scan,collapse", "layer_scan.densities=[0.5,0.3]", "collapse.methods=[random]") == 0
    for name in ("collapse", "layer_scan"):
        capsys.readouterr()
        assert lottery("plot", f"figure={name}", folder, f"to={name}.png") == 2
        line = capsys.readouterr().err
        assert lottery("plot", f"figure={name}", folder, f"to={name}.png", line.split("type ")[1].strip()) == 0, line

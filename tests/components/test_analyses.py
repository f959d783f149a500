"""What analyses find, held against a computation by hand, and how they are kept."""

import copy
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.func import functional_call

import lottery as product
from lottery.components.analyses.connectivity import between, estimate_, instability
from lottery.components.analyses.sharpness import hessian, hutchinson, lanczos
from lottery.config import build
from lottery.experiment import analyses
from lottery.machine import signals
from lottery.storage import records
from lottery.storage.settings import read_settings

NAMES = ("connectivity", "movement", "sharpness", "stability")
QUICK = ["connectivity.points=3", "sharpness.examples=20", "sharpness.iterations=4", "sharpness.probes=2"]


@pytest.fixture
def ran(lottery, tiny, tmp_path):
    """Run the tiny net; return its folder."""
    assert lottery("run", *tiny, "name=one", "schedule.keep=0.5", "rewind=step", "rewind.to=2it") == 0
    (folder,) = tmp_path.glob("outputs/one/*/replicate_0")
    return folder


def table(folder, name):
    (path,) = folder.glob(f"analyses/{name}-*.csv")
    return pd.read_csv(path)


def tensors(folder, place, file):
    """Return the weights of a level, or of what an analysis trained, from the store."""
    key = records.levels(folder)[place]["key"]
    found = load_file(folder.parents[2] / "store" / key / file)
    return {k.removeprefix("weights/"): v for k, v in found.items() if k.startswith("weights/")}


def masks(folder, index):
    begun = tensors(folder, f"level_{index:02d}", "ticket.safetensors")
    return {k: v != 0 for k, v in begun.items() if k.endswith("weight")}


def opened(folder):
    """Return the net and the data of a run."""
    settings = read_settings(folder)
    parts = build.parts(settings)
    task = parts.dataset(folder).prepare(batch_size=12, device=torch.device("cpu"))
    return parts.model(task), task


def test_instability_is_that_of_every_net_on_the_line(lottery, ran):
    assert lottery("analyze", "one", "analysis=connectivity", "connectivity.points=4", "connectivity.controls=[random]") == 0
    found, line = table(ran, "connectivity"), table(ran, "connectivity_line")
    net, task = opened(ran)
    for index, mask in ((0, "ticket"), (1, "ticket"), (1, "random"), (2, "random")):
        word = "ticket" if mask == "ticket" else f"{mask}_2it"
        places = [f"analyses/level_{index:02d}_connectivity_{word}_order_{order}" for order in (0, 1)]
        one, other = (tensors(ran, place, "end.safetensors") for place in places)
        errors = []
        for alpha in (0, 1 / 3, 2 / 3, 1):
            net.load_state_dict({k: (1 - alpha) * one[k] + alpha * other[k] for k in one})
            errors.append(1 - task.evaluate(net, "test")["accuracy"])
        (row,) = found[(found["level"] == index) & (found["mask"] == mask)].to_dict("records")
        assert row["test_error"] == pytest.approx((errors[0] + errors[-1]) / 2)
        assert row["test_instability"] == pytest.approx(max(errors) - (errors[0] + errors[-1]) / 2)
        assert row["stable"] == ("yes" if row["test_instability"] < 0.02 else "no")
        own = line[(line["level"] == index) & (line["mask"] == mask)]
        assert own["alpha"].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
        assert own["test_error"].tolist() == pytest.approx(errors)
    level = tensors(ran, "level_01", "end.safetensors")  # the first of the pair is the level itself
    first = tensors(ran, "analyses/level_01_connectivity_ticket_order_0", "end.safetensors")
    second = tensors(ran, "analyses/level_01_connectivity_ticket_order_1", "end.safetensors")
    assert all(torch.equal(level[k], first[k]) for k in level)
    assert not all(torch.equal(level[k], second[k]) for k in level)
    kept = masks(ran, 1)
    assert all(not second[name][~keep].any() for name, keep in kept.items())  # nothing comes back


def test_masks_are_trained_from_the_steps_that_are_asked_for(lottery, ran):
    words = ["connectivity.points=3", "connectivity.steps=[0it,4it]", "levels=0,2"]
    assert lottery("analyze", "one", "analysis=connectivity", *words) == 0
    found = table(ran, "connectivity")
    assert found[["level", "step"]].to_numpy().tolist() == [[0, 0], [0, 4], [2, 0], [2, 4]]
    begun = tensors(ran, "level_00", "ticket.safetensors")
    start = tensors(ran, "analyses/level_02_connectivity_ticket_0it_order_0", "ticket.safetensors")
    kept = masks(ran, 2)
    for name, keep in kept.items():
        assert torch.equal(start[name], begun[name] * keep)


def test_the_line_has_no_number_where_an_end_has_none():
    rows = [{"alpha": a, "test_error": e, "test_loss": 1.0} for a, e in ((0, 0.1), (0.5, math.nan), (1, 0.3))]
    found = instability(rows, ["test"], 0.02)
    assert math.isnan(found["test_instability"]) and found["stable"] == "no"
    assert found["test_error"] == pytest.approx(0.2) and found["test_loss_barrier"] == 0


def test_counts_are_not_interpolated():
    one = {"w": torch.tensor([0.0, 2.0]), "n": torch.tensor(3)}
    other = {"w": torch.tensor([4.0, 2.0]), "n": torch.tensor(7)}
    made = between(one, other, 0.25)
    assert made["w"].tolist() == [1.0, 2.0] and made["n"] == 3
    assert torch.equal(between(one, other, 0.0)["w"], one["w"]) and torch.equal(between(one, other, 1.0)["w"], other["w"])


def test_batchnorm_is_estimated_by_an_epoch_of_training_data():
    draw = torch.Generator().manual_seed(0)
    every = [(torch.rand(5, 3, generator=draw), None) for _ in range(4)]

    class Task:
        def batches(self, split, epoch, seed):
            assert split == "train"
            return iter(every)

        def inputs(self, batch):
            return batch[:1]

    class Level:
        task = Task()

    net = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5)).eval()
    net[0].running_mean.fill_(9)
    estimate_(net, Level())
    means = torch.stack([x.mean(0) for x, _ in every]).mean(0)
    spread = torch.stack([x.var(0) for x, _ in every]).mean(0)
    assert torch.allclose(net[0].running_mean, means) and torch.allclose(net[0].running_var, spread)
    assert net[0].momentum == 0.1 and not net[0].training and not net[1].training


def test_stability_is_the_distance_and_angle_of_the_kept_weights(lottery, ran):
    assert lottery("analyze", "one", "analysis=stability") == 0
    found = table(ran, "stability").set_index(["level", "mask"])
    dense = tensors(ran, "level_00", "end.safetensors")
    for index, mask in ((1, "ticket"), (2, "ticket"), (2, "random")):
        place = f"analyses/level_{index:02d}_stability_{mask}_order_"
        begun = tensors(ran, f"{place}0", "ticket.safetensors")
        one, other = (tensors(ran, f"{place}{order}", "end.safetensors") for order in (0, 1))
        keep = {k: v != 0 for k, v in begun.items() if k.endswith("weight")}

        def flat(weights, keep=keep):
            return np.concatenate([weights[k][m].double().numpy() for k, m in keep.items()])

        row = found.loc[(index, mask)]
        for word, a, b in (("pruning", dense, one), ("order", other, one)):
            a, b, origin = flat(a), flat(b), flat(begun)
            assert row[f"{word}_distance"] == pytest.approx(np.linalg.norm(a - b))
            assert row[f"{word}_relative"] == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(flat(dense)))
            ways = a - origin, b - origin
            cosine = ways[0] @ ways[1] / np.prod([np.linalg.norm(w) for w in ways])
            assert row[f"{word}_angle"] == pytest.approx(np.degrees(np.arccos(cosine)))
    assert found.loc[(0, "ticket"), "pruning_distance"] == 0 and (0, "random") not in found.index


def test_movement_is_that_of_kept_and_pruned_weights_in_the_dense_training(lottery, ran):
    assert lottery("analyze", "one", "analysis=movement") == 0
    found = table(ran, "movement").set_index(["level", "layer"])
    assert sorted({level for level, _ in found.index}) == [1, 2]
    key = records.levels(ran)["level_00"]["key"]
    state = load_file(ran.parents[2] / "store" / key / "2it.safetensors")
    begun = {k.removeprefix("weights/"): v for k, v in state.items() if k.startswith("weights/")}
    ended, keep = tensors(ran, "level_00", "end.safetensors"), masks(ran, 2)
    parts = {word: ([], []) for word in ("kept", "pruned")}
    for name, m in keep.items():
        for word, where in (("kept", m), ("pruned", ~m)):
            a, b = begun[name][where].double().numpy(), ended[name][where].double().numpy()
            parts[word][0].append(a), parts[word][1].append(b)
            row = found.loc[(2, name.removesuffix(".weight"))]
            assert row[f"{word}_moved"] == pytest.approx(np.abs(b - a).mean())
            assert row[f"{word}_sign_changes"] == pytest.approx((np.sign(a) != np.sign(b)).mean())
    for word, (a, b) in parts.items():
        a, b = np.concatenate(a), np.concatenate(b)
        row = found.loc[(2, "all")]
        assert row[f"{word}_moved_relative"] == pytest.approx(np.abs(b - a).mean() / np.abs(a).mean())
    own, start = tensors(ran, "level_02", "end.safetensors"), tensors(ran, "level_02", "ticket.safetensors")
    moved = np.concatenate([(own[k][m] - start[k][m]).double().numpy() for k, m in keep.items()])
    assert found.loc[(2, "all"), "ticket_moved"] == pytest.approx(np.abs(moved).mean())


class Small:
    """A net, a mask and data, as an analysis sees a level."""

    def __init__(self, net, mask, data):
        self.model, self.mask, self.data, self.task = net, mask, data, self
        self.end = self
        self.weights = net.state_dict()

    def net(self, weights):
        return copy.deepcopy(self.model)

    def draw(self, *words):
        return torch.Generator().manual_seed(hash(words) % 1000)

    def scoring_batches(self, generator, *, size, batch):
        x, y = self.data
        return [(x[i : i + batch], y[i : i + batch]) for i in range(0, len(x), batch)]

    def weight(self, batch):
        return len(batch[0])

    def loss(self, net, batch):
        return torch.nn.functional.cross_entropy(net(batch[0]), batch[1])


@pytest.fixture
def small():
    torch.manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    mask = {"0.weight": torch.rand(4, 3) > 0.4, "2.weight": torch.rand(3, 4) > 0.4}
    with torch.no_grad():
        for name, keep in mask.items():
            net.get_parameter(name).mul_(keep)
    return Small(net, mask, (torch.randn(7, 3), torch.randint(3, (7,))))


def explicit(level):
    """Return the Hessian of the mean loss by torch's own, over what is no pruned weight."""
    net = level.model
    named = {n: p.detach() for n, p in net.named_parameters()}
    sizes = [p.numel() for p in named.values()]

    def loss(flat):
        parts = dict(zip(named, flat.split(sizes), strict=True))
        weights = {n: parts[n].view_as(p) for n, p in named.items()}
        return torch.nn.functional.cross_entropy(functional_call(net, weights, level.data[0]), level.data[1])

    whole = torch.autograd.functional.hessian(loss, torch.cat([p.flatten() for p in named.values()]))
    kept = torch.cat([level.mask.get(n, torch.ones_like(p, dtype=torch.bool)).flatten() for n, p in named.items()])
    return whole.double(), kept


@pytest.mark.parametrize("batch", [7, 3, 1])
def test_the_hessian_is_the_explicit_one_without_pruned_weights(small, batch):
    product_of, kept = hessian(small, 0, batch)
    whole, there = explicit(small)
    assert torch.equal(kept, there)
    made = torch.stack([product_of(row * kept) for row in torch.eye(len(kept), dtype=torch.float64)])
    assert torch.allclose(made, whole * kept * kept[:, None], atol=1e-6)


def test_eigenvalues_are_those_of_the_explicit_hessian(small):
    product_of, kept = hessian(small, 0, 7)
    whole, _ = explicit(small)
    exact = torch.linalg.eigvalsh(whole[kept][:, kept]).flip(0)
    found = lanczos(product_of, kept, 40, torch.Generator().manual_seed(0))
    assert len(found) <= int(kept.sum())
    assert found[:3] == pytest.approx(exact[:3].tolist(), rel=1e-4)
    assert found[-1] == pytest.approx(float(exact[-1]), rel=1e-3, abs=1e-6)
    few = lanczos(product_of, kept, 12, torch.Generator().manual_seed(0))
    assert few[0] <= float(exact[0]) * (1 + 1e-6) and few[0] == pytest.approx(float(exact[0]), rel=0.05)
    traces = [hutchinson(product_of, kept, torch.Generator().manual_seed(n)) for n in range(400)]
    error = np.std(traces) / math.sqrt(len(traces))
    assert abs(np.mean(traces) - float(whole[kept][:, kept].trace())) < 4 * error


def test_a_space_that_is_spanned_early_ends_lanczos():
    matrix = torch.diag(torch.tensor([5.0, 5.0, 5.0, 2.0], dtype=torch.float64))
    found = lanczos(lambda v: matrix @ v, torch.ones(4, dtype=torch.bool), 30, torch.Generator().manual_seed(1))
    assert found == pytest.approx([5, 2])


@pytest.mark.parametrize("name", NAMES)
def test_asked_again_it_is_there_and_another_setting_is_another_file(lottery, ran, capsys, name):
    asked = [w for w in QUICK if w.startswith(name)]
    assert lottery("analyze", "one", f"analysis={name}", *asked) == 0
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in ran.glob("analyses/*.csv")}
    assert before and "level" in capsys.readouterr().out
    assert lottery("analyze", "one", f"analysis={name}", *asked) == 0
    said = capsys.readouterr().out
    assert "levels: 0 trained" in said and f"analysis {name}" in said
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in ran.glob("analyses/*.csv")} == before
    if asked:
        other = asked[0].replace("points=3", "points=4").replace("examples=20", "examples=10")
        assert lottery("analyze", "one", f"analysis={name}", other, *asked[1:]) == 0
        assert before.keys() < {*ran.glob("analyses/*.csv")}


def test_a_run_asks_for_itself_and_says_the_same(lottery, tiny, tmp_path, ran):
    """Neither the id nor a number of the run changes; what is added later is asked later."""
    lottery("analyze", "one", f"analysis={','.join(NAMES)}", *QUICK, "levels=0,1,2")
    words = [*tiny, "schedule.keep=0.5", "rewind=step", "rewind.to=2it", f"analysis=[{','.join(NAMES)}]"]
    asked = [f"analyses.{word}" for word in QUICK]
    shorter = [w for w in words if not w.startswith("levels")]
    assert lottery("run", *shorter, *asked, "levels=1", "name=two") == 0
    assert lottery("run", *words, *asked, "name=two") == 0
    (two,) = tmp_path.glob("outputs/two/*/replicate_0")
    assert two.parent.name == ran.parent.name
    first, second = ({p.name: p.read_bytes() for p in f.glob("analyses/*.csv")} for f in (ran, two))
    assert first == second and len(first) == 5


@pytest.mark.slow
def test_the_plan_counts_what_will_be_trained(lottery, tiny, capsys):
    """What two analyses, a branch and a level have in common is trained once."""
    words = [*tiny, "schedule.keep=0.5", "rewind=step", "rewind.to=2it", "branch=[random]", *(f"analyses.{w}" for w in QUICK),
             "analysis=[connectivity,stability,sharpness]", "analyses.connectivity.controls=[random,reinit]"]  # fmt: skip
    for _ in range(2):
        assert lottery("plan", *words) == 0
        (line,) = re.findall(r"levels: (\d+) to train", capsys.readouterr().out)
        assert lottery("run", *words) == 0
        assert f"levels: {line} trained" in capsys.readouterr().out
    assert line == "0"


@pytest.mark.slow
def test_a_queue_hands_in_a_run_whose_analysis_is_not_there(lottery, tiny, ran, capsys):
    words = [*tiny, "name=one", "schedule.keep=0.5", "rewind=step", "rewind.to=2it"]

    def handed_in(*more):
        capsys.readouterr()
        lottery("submit", *words, *more, "--print")
        return "model=lenet_300_100" in capsys.readouterr().out

    assert not handed_in() and handed_in("analysis=[movement]")
    assert lottery("analyze", "one", "analysis=movement", "levels=1") == 0
    assert handed_in("analysis=[movement]") and not handed_in("analysis=[movement]", "analysis_levels=[1]")
    assert lottery("analyze", "one", "analysis=movement") == 0
    assert not handed_in("analysis=[movement]")


@pytest.mark.slow
def test_a_kill_in_between_loses_no_level_that_was_asked(lottery, ran, monkeypatch):
    words = ["analyze", "one", f"analysis={','.join(NAMES)}", *QUICK]
    shutil.copytree("outputs", "copy", symlinks=True)
    assert lottery(*words, "outputs=copy") == 0
    whole = {p.name: p.read_bytes() for p in ran.parents[3].glob("copy/one/*/*/analyses/*.csv")}
    add = analyses.Findings.add
    for _ in range(20):
        left = [0]

        def adding(self, looked, found, left=left):
            if left[0] > 1:  # level 0 of movement leaves no row, and is asked again
                raise KeyboardInterrupt
            left[0] += 1
            add(self, looked, found)

        monkeypatch.setattr(analyses.Findings, "add", adding)
        if lottery(*words) == 0:
            break
        signals.forget()
    else:
        raise AssertionError("it never ended")
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in ran.glob("analyses/*.csv")} == whole


@pytest.mark.slow
def test_what_was_trained_for_it_is_in_use(lottery, ran, capsys):
    """clean leaves it alone while the run is there, and no table of levels lists it."""
    assert lottery("analyze", "one", "analysis=stability") == 0
    there = {*(ran.parents[2] / "store").iterdir()}
    assert len(there) > 3
    assert lottery("clean", "levels", "--yes") == 0
    assert {*(ran.parents[2] / "store").iterdir()} == there
    assert not (ran / "branches.csv").exists() and len(pd.read_csv(ran / "metrics.csv")) == 3
    for words in (["ls"], ["show", "one"], ["doctor"], ["report", "one"], ["compare", "one"]):
        assert lottery(*words) == 0, capsys.readouterr()


@pytest.mark.slow
def test_tables_of_many_runs_have_what_was_found(lottery, tiny, tmp_path, capsys):
    words = ["schedule.keep=0.5", "replicate=0,1,2", "name=many", "analysis=[stability]"]
    for workers in (1, 2):
        capsys.readouterr()
        assert lottery("run", "-m", *tiny, *words, f"host.workers={workers}") == 0
        summary = capsys.readouterr().out.partition("sweep: 3 of 3")[2]
        assert "analysis stability" in summary and " n  mask" in summary  # over the replicates
    runs = product.load(tmp_path / "outputs")
    assert runs.analyses == ["stability"]
    found = runs.analysis("stability")
    assert len(found) == 3 * 5 and {"replicate", "mask", "order_distance"} <= {*found}
    assert not len(runs.analysis("connectivity"))
    capsys.readouterr()
    assert lottery("analyze", "many", "analysis=stability") == 0
    said = capsys.readouterr().out
    mean = found[(found["level"] == 2) & (found["mask"] == "random")]["order_distance"].mean()
    assert "3 replicates of" in said and f" {mean:.3f} ± " in said
    assert lottery("plot", "figure=analysis", "of=stability", "y=order_distance", "to=a.png") == 0
    drawn = pd.read_csv("a.csv")
    assert drawn["replicates"].tolist() == [3] * 5
    assert lottery("plot", "figure=analysis", "to=b.png") == 2
    assert "lottery analyze RUN analysis=connectivity" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["analysis=[conectivity]"], "connectivity"),
        (["analysis=[connectivity]", "analyses.connectivity.points=1"], "type analyses.connectivity.points=30"),
        (["analysis=[connectivity]", "analyses.connectivity.order=0"], "connectivity.order=1"),
        (["analysis=[connectivity]", "analyses.connectivity.batchnorm=no"], "interpolated, estimated"),
        (["analysis=[connectivity]", "analyses.connectivity.splits=[best]"], "none of train, val, test; type analyses.connectivity.splits=[train,val,test]"),
        (["analysis=[connectivity]", "analyses.connectivity.splits=[]"], "none is named"),
        (["analysis=[connectivity]", "analyses.connectivity.splits=[val]", "dataset.validation=0"], "val is none of train, test"),
        (["analysis=[connectivity]", "analyses.connectivity.points=2"], "points=30"),
        (["analysis=[sharpness]", "analyses.sharpness.probes=-3"], "probes=-3 is below 0"),
        (["analysis=[sharpness]", "analyses.sharpness.examples=-1"], "examples=-1 is below 0"),
        (["analysis=[connectivity]", "analyses.connectivity.steps=[99ep]"], "99ep"),
        (["analysis=[connectivity]", "analyses.connectivity.controls=[shufle]"], "shuffle"),
        (["analysis=[stability]", "analyses.stability.order=0"], "analyses.stability.order=1"),
        (["analysis=[stability]", "analyses.stability.controls=[invertt]"], "invert"),
        (["analysis=[sharpness]", "analyses.sharpness.iterations=0"], "iterations=20"),
        (["analysis=[sharpness]", "analyses.sharpness.probe=1"], "no setting 'probe'"),
        (["analysis=[movement]", "analysis_levels=[9]"], "analysis_levels=[2]"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_trained(lottery, tiny, tmp_path, capsys, words, says):
    assert lottery("run", *tiny, *words) == 2
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name runs and an analysis"), (["one"], "analysis=connectivity"), (["one", "analysis=movment"], "movement"),
        (["nothing", "analysis=movement"], "nothing"), (["one", "analysis=movement", "levels=7"], "3 finished levels"),
        (["one", "analysis=movement", "sharpness.probes=2"], "not asked for"), (["one", "analysis=movement", "levels=x"], "levels=3,7"),
        (["one", "analysis=connectivity", "connectivity.points=1"], "points=1"),
    ],
)  # fmt: skip
def test_the_command_refuses_in_a_line(lottery, ran, capsys, words, says):
    before = (ran / "run.json").read_bytes()
    capsys.readouterr()
    assert lottery("analyze", *words) == 2
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1, line
    assert (ran / "run.json").read_bytes() == before and not (ran / "analyses").exists()


def test_a_damaged_table_of_an_analysis_is_named(lottery, ran, capsys):
    assert lottery("analyze", "one", "analysis=movement") == 0
    (path,) = ran.glob("analyses/movement-*.csv")
    good = path.read_bytes()
    path.write_bytes(good.replace(b"0.", b"1.", 1))
    capsys.readouterr()
    assert lottery("plot", "figure=analysis", "of=movement", "y=kept_moved") == 2
    assert lottery("analyze", "one", "analysis=movement") == 0  # found again, and written again
    assert path.read_bytes() == good


@pytest.mark.slow
@pytest.mark.parametrize("what", ["connectivity-", "connectivity_line-"])
@pytest.mark.parametrize("gone", [True, False])
def test_what_is_damaged_or_gone_is_made_again_once(lottery, ran, what, gone):
    """The table, or what stands behind it: both are made again, and no row stands there twice."""
    words = ["analyze", "one", "analysis=connectivity", "connectivity.points=3"]
    assert lottery(*words) == 0
    before = {p.name: p.read_bytes() for p in ran.glob("analyses/*.csv")}
    (path,) = ran.glob(f"analyses/{what}*.csv")
    path.unlink() if gone else path.write_bytes(path.read_bytes() + b"x")
    assert lottery(*words) == 0
    assert {p.name: p.read_bytes() for p in ran.glob("analyses/*.csv")} == before
    assert lottery("verify", "one", "level=none") == 0


def test_a_control_on_another_order_is_held_against_one_more(lottery, ran):
    assert lottery("analyze", "one", "analysis=stability", "stability.controls=[reorder]", "levels=1") == 0
    found = table(ran, "stability").set_index("mask")
    assert found.loc["reorder", "order_distance"] > 0
    assert found.loc["ticket", "order_distance"] > 0


def test_a_finished_run_stays_done_whatever_an_analysis_meets(lottery, ran, capsys):
    shelf = ran.parents[2] / "store" / records.levels(ran)["level_01"]["key"]
    good = (shelf / "mask.safetensors").read_bytes()
    (shelf / "mask.safetensors").write_bytes(good[:-1] + b"?")
    assert lottery("analyze", "one", "analysis=sharpness", "sharpness.examples=20") == 4
    assert records.read_run(ran)["state"] == "done"
    (shelf / "mask.safetensors").write_bytes(good)
    assert lottery("analyze", "one", "analysis=sharpness", "sharpness.examples=20") == 0
    assert records.read_run(ran)["state"] == "done"


@pytest.mark.slow
def test_names_are_taken_with_blanks_and_settings_as_run_has_them(lottery, ran, capsys):
    assert lottery("analyze", "one", "analysis=connectivity, movement", "analyses.connectivity.points=3", "levels=1") == 0
    assert "points=3" in capsys.readouterr().out
    for words in (["analysis=[]"], ["analysis=,"]):
        assert lottery("analyze", "one", *words) == 2
        assert "analysis=connectivity" in capsys.readouterr().err


@pytest.mark.parametrize("rewind", ["finetune", "lr"])
def test_levels_that_begin_with_trained_weights(lottery, tiny, tmp_path, capsys, rewind):
    """What cannot be asked of them is told with what to type; what is, is no row of zeros."""
    words = [*tiny, "name=two", "schedule.keep=0.5", f"rewind={rewind}"]
    assert lottery("run", *words, "analysis=[stability]") == 2
    line = capsys.readouterr().err
    assert "type analyses.stability.controls=[]" in line and line.count("\n") == 1
    assert lottery("run", *words, "analysis=[stability,movement]", "analyses.stability.controls=[]") == 0
    (folder,) = tmp_path.glob("outputs/two/*/replicate_0")
    found = table(folder, "movement")
    assert found["kept_moved"].isna().all() == (rewind == "finetune") and (found["ticket_moved"] > 0).all()


@pytest.mark.slow
def test_replicates_count_once_at_each_place_of_a_figure(lottery, tiny, tmp_path, capsys):
    """Configs that rewind elsewhere share nets, and are not averaged with each other."""
    words = ["schedule.keep=0.5", "replicate=0,1", "rewind=step", "rewind.to=0it,3it", "name=many", "levels=1"]
    asked = ["analysis=[connectivity]", "analyses.connectivity.points=3", "analyses.connectivity.steps=[0it,3it]"]
    assert lottery("run", "-m", *tiny, *words, *asked) == 0
    for x, more in (("step", []), ("density", []), ("alpha", ["of=connectivity_line", "y=test_error"]), ("alpha", ["of=connectivity_line", "y=test_error", "density=[0.5]"])):
        assert lottery("plot", "figure=analysis", "many", f"x={x}", *more, f"to={x}{len(more)}.png") == 0
        drawn = pd.read_csv(f"{x}{len(more)}.csv")
        assert drawn["replicates"].eq(2).all() and not drawn.duplicated(["line", x]).any(), drawn
    assert lottery("analyze", "many", "analysis=connectivity", "connectivity.points=4") == 0
    capsys.readouterr()
    assert lottery("plot", "figure=analysis", "many", "to=c.png") == 2
    (word,) = re.findall(r"type (settings=\[.*\])", capsys.readouterr().err)
    assert lottery("plot", "figure=analysis", "many", word, "to=c.png") == 0

"""XOR by a thousand nets: each is its own net, units go whole and equally many in each, shares have intervals."""

import itertools
import math

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from lottery.components.datasets.xor import xor
from lottery.components.models.xor_stack import xor_stack
from lottery.components.structures.unit import unit
from lottery.config import build
from lottery.errors import DivergedError, UsageError
from lottery.pruning.prune import prune
from lottery.results.stats import reach, wilson
from lottery.terms import mask as masks
from lottery.terms.parts import Pruning
from lottery.terms.prunable import layers

SMALL = ["dataset=xor", "dataset.nets=20", "dataset.passes=5", "train.length=2ep", "host.progress=none"]


@pytest.fixture
def task():
    return xor(None, nets=7, below=0.05, passes=3).prepare(batch_size=4, device=torch.device("cpu"))


@pytest.fixture
def model(task):
    torch.manual_seed(3)
    return xor_stack(task, units=5, init="xavier_normal")


def by_unit():
    """Return the row of the table that prunes units by magnitude."""
    parts = {"criterion": {"name": "magnitude"}, "structure": {"name": "unit", "pool": "l2"},
             "allocation": {"name": "globally"}, "update": {"name": "static"}}  # fmt: skip
    return Pruning(
        **{kind: build.bind(kind, node, "here") for kind, node in parts.items()}, update_settings={"name": "static"},
        at="end", rounds=1, path="exponential", nested=True, revive=False, exact=True, include=("*",), exclude=(),
    )  # fmt: skip


def one_by_one(model, x):
    """Return what each net gives, by its own matrices, [B, nets]."""
    h, o = model.hidden, model.fc
    return torch.stack([
        F.linear(F.relu(F.linear(x, h.weight[n], h.bias[n])), o.weight[n], o.bias[n])[:, 0] for n in range(model.nets)
    ], 1)  # fmt: skip


def test_a_stack_is_its_nets(task, model):
    for p in model.parameters():
        p.data.uniform_(-2, 2)
    scores = one_by_one(model, task.points)
    torch.testing.assert_close(model(task.points), scores)
    each = [F.binary_cross_entropy_with_logits(scores[:, n], task.answers) for n in range(7)]
    torch.testing.assert_close(task.loss(model, next(task.batches("train", 0, 0))), sum(each))
    losses = F.binary_cross_entropy_with_logits(scores, task.answers[:, None].expand(4, 7), reduction="none").detach()
    found = task.evaluate(model, "test")
    assert found["loss"] == pytest.approx(float(losses.mean()))
    assert found["solved_boundary"] == sum(all((scores[p, n] > 0) == (task.answers[p] == 1) for p in range(4)) for n in range(7)) / 7
    easy = xor(None, nets=7, below=float(losses.amax(0).median()) + 1e-6, passes=1)
    assert easy.evaluate(model, "val")["solved"] == 4 / 7
    assert [list(p) for p in task.points] == [[0, 0], [0, 1], [1, 0], [1, 1]] and task.answers.tolist() == [0, 1, 1, 0]


def test_no_net_feels_another(task, model):
    one = {k: v.clone() for k, v in model.named_parameters()}
    model.hidden.weight.data[1:].zero_()
    task.loss(model, task.example(2)).backward()
    alone = model.hidden.weight.grad[0].clone()
    model.hidden.weight.data.copy_(one["hidden.weight"])
    model.zero_grad()
    task.loss(model, task.example(2)).backward()
    assert torch.equal(model.hidden.weight.grad[0], alone)


def test_first_weights_are_those_of_small_nets():
    big = xor_stack(xor(None, nets=4000, below=1, passes=1), units=10, init="xavier_normal")
    assert float(big.hidden.weight.detach().std()) == pytest.approx(math.sqrt(2 / 12), rel=0.02)
    assert float(big.fc.weight.detach().std()) == pytest.approx(math.sqrt(2 / 11), rel=0.02)
    assert not big.hidden.bias.any() and not big.fc.bias.any()


def test_each_net_keeps_its_own_best_units(task, model):
    """Brute force over every pair of units of each net; ties go to the lower index."""
    model.hidden.weight.data[2] = 1.0
    model.fc.weight.data[2] = 1.0
    size = (model.hidden.weight.norm(dim=2) * model.fc.weight[:, 0].abs()).detach()
    before = masks.dense(model)
    kept = prune(model, before, 0.4, task, 0, by_unit())
    assert masks.kept(kept) == 7 * 2 * 3
    for net in range(7):
        best = max(itertools.combinations(range(5), 2), key=lambda pair: float(size[net, list(pair)].sum()))
        rows = kept["hidden.weight"][net]
        assert torch.equal(rows.all(1), rows.any(1)) and torch.equal(rows.all(1), kept["fc.weight"][net, 0])
        assert set(rows.all(1).nonzero()[:, 0].tolist()) == set(best)
    between = prune(model, before, 0.55, task, 0, by_unit())  # 2.75 units: two of every net, not three of some
    assert (between["hidden.weight"].all(2).sum(1) == 2).all()
    again = prune(model, kept, 0.2, task, 0, by_unit())
    assert masks.kept(again) == 7 * 3 and all((again[n] <= kept[n]).all() for n in kept)


def test_what_is_no_stack_is_refused(task):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    whole = masks.dense(net)
    with pytest.raises(UsageError, match="type prune/structure=neuron"):
        unit(net, task, {n: m.float() for n, m in whole.items()}, whole, pool="l2")
    assert all(layer.kind.stacked for layer in layers(xor_stack(task, units=2, init="orthogonal")).values())


def test_a_score_that_is_no_number_is_told(task, model):
    whole = masks.dense(model)
    model.hidden.weight.data[3, 1, 0] = torch.nan
    with pytest.raises(DivergedError, match="not a number"):
        prune(model, whole, 0.4, task, 0, by_unit())


@pytest.mark.parametrize(
    ("share", "trials", "low", "high"),
    [(0.5, 10, 0.2366, 0.7634), (1.0, 10, 0.7225, 1.0), (0.0, 4, 0.0, 0.4899), (0.017, 1000, 0.0106, 0.0271)],
)
def test_wilson(share, trials, low, high):
    assert wilson(share, trials) == pytest.approx((low, high), abs=1e-4)


def test_replicates_are_more_trials(task):
    solved = task.metrics[0]
    assert reach([0.2, 0.4], solved) == (pytest.approx(0.3), *wilson(0.3, 14))
    assert reach([0.2], solved)[1:] == wilson(0.2, 7)


def test_a_run_takes_the_model_of_its_data(lottery, capsys, tmp_path):
    assert lottery("run", *SMALL, "prune/structure=unit", "levels=1") == 0
    (path,) = tmp_path.glob("outputs/xor_stack_xor_imp/*/replicate_0/metrics.csv")
    table = pd.read_csv(path)
    assert table["kept"].tolist() == [600, 480] and table["examples"].tolist() == [40, 40]
    assert lottery("show", "xor_stack_xor_imp") == 0 and "test solved %" in capsys.readouterr().out
    assert lottery("run", *SMALL, "model=resnet20", "levels=0") == 2
    assert "asks for images, and this dataset has logic; type model=xor_stack" in capsys.readouterr().err
    assert lottery("run", "dataset=digits", "model=xor_stack", "levels=0") == 2
    assert "asks for many nets at once, and this dataset has images; type model=resnet20 or dataset=xor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "said"),
    [("dataset.nets=0", "dataset.nets=0 is below 1"), ("dataset.below=0", "a loss is above 0"), ("train.batch_size=2", "type train.batch_size=4"),
     ("prune/structure=filter", "type prune/structure=unit")],
)  # fmt: skip
def test_what_cannot_be_is_told(lottery, capsys, word, said):
    assert lottery("run", *SMALL, word, "levels=1") == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_experiment_of_the_paper(lottery, tmp_path):
    few = ["experiment=xor", "dataset.nets=400", "host.progress=none", "host.threads=1"]  # the preset has a thousand
    assert lottery("run", "-m", *few) == 0
    assert lottery("run", "-m", *few, "prune=imp", "model.units=6,4,2", "levels=0") == 0
    dense, last = {}, {}
    for path in tmp_path.glob("outputs/*/*/replicate_0/metrics.csv"):
        table = pd.read_csv(path)
        assert (table["kept"] == (table["total"] * table["density"]).round()).all()
        dense[int(table["total"].iloc[0]) // 1200] = 100 * table["test_solved"].iloc[0]
        if len(table) == 5:
            last[path.parts[-4]] = 100 * table["test_solved"].iloc[-1]
    for units, paper in {10: 93, 6: 76, 4: 53, 2: 17}.items():
        assert abs(dense[units] - paper) <= 5, dense
    assert last["xor_imp"] >= last["xor_oneshot"] + 5 and last["xor_oneshot"] >= last["xor_random"] + 40, last

"""Criteria, allocations, rounds: literal arrays, then laws over random ones."""

import math
import random
from dataclasses import replace

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lottery.config import build
from lottery.errors import UsageError
from lottery.pruning.prune import prune
from lottery.terms import mask as masks
from lottery.terms.parts import Pruning

LAYERWISE = {"name": "layerwise", "rates": {}}


def allocation(name, **more):
    return build.bind("allocation", {"name": name, **more}, "here")


def how(allocate="globally", criterion="magnitude", **more):
    settings = {
        "at": "end", "rounds": 1, "path": "exponential", "nested": True, "revive": False, "exact": True,
    }  # fmt: skip
    return Pruning(
        criterion=build.bind("criterion", {"name": criterion}, "here"),
        structure=build.bind("structure", {"name": "weight"}, "here"),
        allocation=allocation(allocate, **({"rates": {}} if allocate == "layerwise" else {})),
        update=build.bind("update", {"name": "static"}, "here"), update_settings={"name": "static"},
        include=("*",), exclude=(), **(settings | more),
    )  # fmt: skip


def full(**sizes):
    return {name: torch.ones(size, dtype=torch.bool) for name, size in sizes.items()}


def counts(mask):
    return {name: int(m.sum()) for name, m in mask.items()}


def test_uniform_keeps_the_same_share_of_each_layer():
    mask = full(a=4, b=2)
    scores = {"a": torch.tensor([4.0, 3, 2, 1]), "b": torch.tensor([0.1, 0.2])}
    kept = allocation("uniform")(scores, mask, 0.5)
    assert kept["a"].tolist() == [True, True, False, False]
    assert kept["b"].tolist() == [False, True]


def test_layerwise_prunes_the_output_at_half_the_rate():
    """LeNet of the paper: a fifth of 100 and of 50, a tenth of 10 (Frankle & Carbin, Fig. 2)."""
    mask = full(fc1=100, fc2=50, out=10)
    scores = {name: torch.rand(m.shape) for name, m in mask.items()}
    kept = allocation("layerwise", rates={"out": 0.5})(scores, mask, (80 + 40 + 9) / 160)
    assert counts(kept) == {"fc1": 80, "fc2": 40, "out": 9}


def test_layerwise_refuses_what_cannot_be():
    mask = full(a=4)
    scores = {"a": torch.rand(4)}
    with pytest.raises(UsageError, match="'b' fits no layer"):
        allocation("layerwise", rates={"b": 0.5})(scores, mask, 0.5)
    with pytest.raises(UsageError, match="nothing is pruned"):
        allocation("layerwise", rates={"a": 0.0})(scores, mask, 0.5)


def erk_by_iteration(shapes, density):
    """The published loop: fill the layers whose share passes 1, solve the factor again."""
    dense = set()
    while True:
        ones = density * sum(s.numel() for s in shapes.values())
        ones -= sum(shapes[n].numel() for n in dense)
        raw = {n: sum(s) / s.numel() for n, s in shapes.items() if n not in dense}
        factor = ones / sum(raw[n] * shapes[n].numel() for n in raw)
        over = {n for n in raw if raw[n] * factor > 1}
        if not over:
            return {n: 1.0 if n in dense else raw[n] * factor for n in shapes}
        dense |= over


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_erk_is_exact_and_as_published(data):
    side = st.integers(1, 12)
    shapes = {
        str(i): torch.Size(data.draw(st.lists(side, min_size=2, max_size=4)))
        for i in range(data.draw(st.integers(1, 5)))
    }
    density = data.draw(st.floats(0.02, 1.0))
    mask = {n: torch.ones(s, dtype=torch.bool) for n, s in shapes.items()}
    scores = {n: torch.rand(s) for n, s in shapes.items()}
    kept = allocation("erk")(scores, mask, density)
    assert masks.kept(kept) == masks.count(density, mask)
    for name, share in erk_by_iteration(shapes, density).items():
        assert abs(int(kept[name].sum()) - share * shapes[name].numel()) <= 1.01


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["globally", "uniform", "erk", "layerwise"]),
    st.sampled_from(["magnitude", "random"]),
    st.integers(1, 4),
    st.sampled_from(["exponential", "linear"]),
    st.lists(st.floats(0.05, 1.0), min_size=1, max_size=4),
)
def test_counts_are_exact_and_masks_never_revive(allocate, criterion, rounds, path, densities):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    mask = masks.dense(model)
    method = how(allocate, criterion, rounds=rounds, path=path)
    for density in sorted(densities, reverse=True):
        before = {n: m.clone() for n, m in mask.items()}
        mask = prune(model, mask, density, None, 0, method)
        masks.check(before, mask, round(density * 56))


def test_a_higher_density_than_is_left_is_refused():
    model = nn.Linear(4, 1)
    mask = {"weight": torch.tensor([[True, False, False, True]])}
    with pytest.raises(UsageError, match="never comes back"):
        prune(model, mask, 0.75, None, 0, how())
    with pytest.raises(UsageError, match="keeps none"):
        prune(model, mask, 0.01, None, 0, how())


def test_random_masks_of_one_seed_are_nested_and_of_two_differ():
    model = nn.Linear(40, 5)
    dense = masks.dense(model)
    method = how(criterion="random")
    half = prune(model, dense, 0.5, None, 1, method)["weight"]
    fifth = prune(model, dense, 0.2, None, 1, method)["weight"]
    other = prune(model, dense, 0.5, None, 2, method)["weight"]
    assert not (fifth & ~half).any()
    assert not torch.equal(half, other)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"name": "geometric", "keep": 0.8}, [1, 0.8, 0.64]),
        ({"name": "linear", "step": 0.1}, [1, 0.9, 0.8]),
        ({"name": "compression", "step": 0.5}, [1, 10**-0.5, 0.1]),
        ({"name": "listed", "densities": [0.5, 0.1]}, [1, 0.5, 0.1]),
    ],
)
def test_schedules(node, expected):
    schedule = build.bind("schedule", node, "schedule")
    assert [schedule(level) for level in range(3)] == pytest.approx(expected)


def test_a_table_of_densities_is_read_scaled_and_checked(tmp_path):
    """Half of 4 and a quarter of 8: 4 of 12; asked for 6, each layer keeps half as many again."""
    mask = full(a=4, b=8)
    scores = {"a": torch.arange(4.0), "b": torch.arange(8.0)}
    table = tmp_path / "densities.csv"
    table.write_text("layer,density\na,0.5\nb,0.25\n")
    given = allocation("given", path=str(table), level=None)
    assert counts(given(scores, mask, 4 / 12)) == {"a": 2, "b": 2}
    assert counts(given(scores, mask, 0.5)) == {"a": 3, "b": 3}
    table.write_text("layer,density\na,1\nb,0\n")
    with pytest.raises(UsageError, match="the table empties layers"):
        given(scores, mask, 0.5)
    table.write_text("level,layer,density\n1,a,1\n1,b,1\n2,a,0.25\n2,b,0.5\n")
    assert counts(allocation("given", path=str(table), level=2)(scores, mask, 5 / 12)) == {"a": 1, "b": 4}
    with pytest.raises(UsageError, match="has levels; say which"):
        given(scores, mask, 0.5)
    table.write_text("layer,density\na,1\nc,0\n")
    with pytest.raises(UsageError, match="only the net has a layer 'b'"):
        given(scores, mask, 0.5)
    with pytest.raises(UsageError, match="none.csv is not there; give a CSV file with the columns"):
        allocation("given", path=str(tmp_path / "none.csv"), level=None)(scores, mask, 0.5)


def test_a_run_does_not_go_on_with_another_table(run, tmp_path, capsys):
    table = tmp_path / "d.csv"
    words = ["prune/allocation=given", f"prune.allocation.path={table}"]
    table.write_text("layer,density\nlayers.0,0.5\nfc,0.5\n")
    run(*words, "levels=1")
    table.write_text("layer,density\nlayers.0,0.2\nfc,1\n")
    run(*words, "levels=2", code=2)
    assert "a table of layer densities has changed" in capsys.readouterr().err


def test_openlth_removes_its_fifth_whatever_the_schedule_says(run):
    """Of 80: 16 and one more, then ceil(12.6) and one more, although the schedule is slower."""
    import pandas as pd

    folder = run("prune=openlth", "schedule=listed", "schedule.densities=[0.9,0.8]")
    assert pd.read_csv(folder / "metrics.csv")["kept"].tolist() == [80, 63, 49]


def erk_counts(shapes, number):
    """Densities e * sum(dims) / prod(dims), layers above 1 made dense one after the other."""
    dense = set()
    while True:
        free = {n: s for n, s in shapes.items() if n not in dense}
        taken = sum(math.prod(shapes[n]) for n in dense)
        factor = (number - taken) / sum(sum(s) for s in free.values())
        over = {n for n, s in free.items() if factor * sum(s) > math.prod(s)}
        if not over:
            return {n: math.prod(s) if n in dense else factor * sum(s) for n, s in shapes.items()}
        dense |= over


@pytest.mark.parametrize("seed", range(50))
def test_erk_is_exact_on_a_random_architecture(seed):
    draw = random.Random(seed)
    widths = [draw.randint(1, 24) for _ in range(draw.randint(3, 9))]
    shapes = {
        f"layer{i}": (b, a, *([3, 3] if draw.random() < 0.5 else []))
        for i, (a, b) in enumerate(zip(widths, widths[1:]))
    }
    mask = {n: torch.ones(s, dtype=torch.bool) for n, s in shapes.items()}
    scores = {n: torch.rand(s) for n, s in shapes.items()}
    density = draw.uniform(0.02, 0.98)
    number = round(density * masks.total(mask))
    kept = counts(allocation("erk")(scores, mask, density))
    assert sum(kept.values()) == number
    for name, ideal in erk_counts(shapes, number).items():
        assert abs(kept[name] - ideal) < 1 + 1e-6


AT_INIT = [path for path in sorted((build.conf_dir() / "prune").glob("*.yaml")) if "\nat: 0it" in path.read_text()]
SHORT = {"length": "3it", "period": "1it"}  # of what trains before it scores


QUICK = ("grasp_original", "snip", "force", "magnitude_init")


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, id=p.stem, marks=[] if p.stem in QUICK else pytest.mark.slow) for p in AT_INIT],
)
def test_a_mask_at_initialization_knows_no_memory_format(path):
    """Sums of a convolution depend on it: 178 of 27,091 weights of a GraSP mask did."""
    node = yaml.safe_load(path.read_text())
    node["criterion"] |= {key: value for key, value in SHORT.items() if key in node["criterion"]}
    row = replace(
        how(rounds=min(node["rounds"], 2), revive=node["revive"]),
        criterion=build.bind("criterion", node["criterion"], "prune.criterion"),
    )
    options = {
        "examples": 60, "test_examples": 10, "classes": 4, "channels": 3, "size": 8,
        "validation": 0,
    }  # fmt: skip
    data = build.bind("dataset", build.option("dataset", "synthetic") | options, "dataset")(".")
    found = []
    for last in (False, True):
        task = data.prepare(batch_size=20, device=torch.device("cpu"), channels_last=last)
        torch.manual_seed(0)
        net = build.bind("model", build.option("model", "resnet20") | {"depth": 8, "width": 4}, "m")(task)
        seen, criterion = {}, row.criterion

        def watched(*arguments, seen=seen, criterion=criterion):
            seen |= criterion(*arguments)
            return seen

        mask = prune(net, masks.dense(net), 0.3, task, 7, replace(row, criterion=watched))
        found.append((mask, seen))
    for name in found[0][0]:
        assert torch.equal(found[0][0][name], found[1][0][name])
        assert torch.equal(found[0][1][name], found[1][1][name])


def test_magnitudes_of_float64_are_told_apart():
    net = nn.Linear(4, 1, bias=False).double()
    net.weight.data = torch.tensor([[1.0, 1 + 1e-12, -1 - 2e-12, 0.5]], dtype=torch.float64)
    mask = prune(net, masks.dense(net), 0.5, None, 0, how())
    assert mask["weight"].tolist() == [[False, True, True, False]]

"""Criteria that train: literal steps, literal loops, exact freezing, and what a search must find."""

import copy
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from lottery.components.allocations.globally import globally
from lottery.components.allocations.uniform import uniform
from lottery.components.criteria.edge_popup import edge_popup
from lottery.components.criteria.gem_miner import active_counts, gem_miner
from lottery.components.criteria.movement import movement
from lottery.components.datasets.digits import digits
from lottery.components.models.lenet import lenet
from lottery.errors import DivergedError, Stopped, UsageError
from lottery.machine import signals
from lottery.tasks.images.outline import Outline
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.training import search

GEM = {"length": "6ep", "period": "1ep", "lr": 0.5, "momentum": 0.9, "penalty": 0.01}
POPUP = {"length": "3ep", "lr": 0.5, "momentum": 0.9, "weight_decay": 0.01, "scope": "layerwise"}
MOVE = {"length": "3ep", "lr": 0.1, "momentum": 0.5}
CRITERIA = [(gem_miner, GEM), (edge_popup, POPUP), (movement, MOVE)]
EACH = pytest.mark.parametrize(
    ("criterion", "with_"), CRITERIA, ids=lambda v: getattr(v, "__name__", "")
)


class Small:
    """Two batches of eight an epoch, whose order follows from epoch and seed."""

    device = torch.device("cpu")
    steps_per_epoch = 2

    def __init__(self, shape=(6,), channels_last=False):
        draw = torch.Generator().manual_seed(7)
        self.x = torch.randn(16, *shape, generator=draw)
        self.y = torch.randint(3, (16,), generator=draw)
        self.channels_last = channels_last

    def batches(self, split, epoch, seed, start=0):
        assert split == "train"
        for rows in torch.randperm(16, generator=seeds.generator(seed, epoch)).split(8):
            x = self.x[rows]
            last = self.channels_last
            yield x.contiguous(memory_format=torch.channels_last) if last else x, self.y[rows]

    def loss(self, model, batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1])


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def some_pruned(model):
    mask = masks.dense(model)
    mask["0.weight"][1, 2:5] = False
    masks.apply_(model, mask)
    return mask


def drawn(seed=3):
    return torch.Generator().manual_seed(seed)


def worn(monkeypatch):
    """Return a list that fills with what each step leaves of the weights: (pickable, picked)."""
    seen = []
    real = search.wear_

    def wear_(found, picked):
        pickable = {n: w != 0 for n, w in found.weights.items()}
        seen.append((pickable, {n: m.clone() & pickable[n] for n, m in picked.items()}))
        real(found, picked)

    monkeypatch.setattr(search, "wear_", wear_)
    return seen


def test_a_score_moves_by_weight_times_gradient_picked_or_not():
    """v = w * [1 0 1 0] = [1 0 3 0], x = [1 2 3 4]: L = (v x)^2 / 2, dL/ds = w (v x) x = 10 w x."""
    model = nn.Linear(4, 1, bias=False)
    model.weight.data = torch.tensor([[1.0, -2, 3, -4]])
    task = Small()
    task.batches = lambda *_: iter([torch.tensor([[1.0, 2, 3, 4]])])
    task.loss = lambda net, x: (net(x) ** 2 / 2).sum()
    ones = {"weight": torch.ones(1, 4)}
    found = search.begin(
        model, masks.dense(model), task, ones, lr=0.01, momentum=0.0, weight_decay=0.0
    )
    search.wear_(found, {"weight": torch.tensor([[True, False, True, False]])})
    for step in search.steps(found.model, task, 0, 1, found.optimizer, search.kept(found)):
        gradients = search.straight_through(found)
        assert gradients["weight"].tolist() == [[10, -40, 90, -160]]
        search.update_(found, gradients, step, 1)
    assert found.scores["weight"][0].tolist() == pytest.approx([0.9, 1.4, 0.1, 2.6])
    assert found.weights["weight"].tolist() == model.weight.tolist() == [[1, -2, 3, -4]]


class Through(torch.autograd.Function):
    """A mask of the scores whose derivative is taken as 1."""

    @staticmethod
    def forward(ctx, scores, picked):
        return picked.float()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def literal(model, mask, task, scores, pick, total, seed, lr, decay, after):
    """Train scores the plain way: autograd through the mask, one tensor at a time."""
    weights = {n: model.get_parameter(n).detach().clone() for n in mask}
    scores = {n: s.clone().requires_grad_() for n, s in scores.items()}
    optimizer = torch.optim.SGD(scores.values(), lr=lr, momentum=0.9, weight_decay=decay)
    for step in range(total):
        optimizer.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / total)) / 2
        epoch, position = divmod(step, task.steps_per_epoch)
        batch = list(task.batches("train", epoch, seed))[position]
        picked = {n: weights[n] * Through.apply(*pick(n, s)) for n, s in scores.items()}
        optimizer.zero_grad()
        task.loss(lambda x, picked=picked: functional_call(model, picked, (x,)), batch).backward()
        optimizer.step()
        after(step + 1, scores)
    return {n: s.detach() for n, s in scores.items()}


@pytest.mark.parametrize("density", [0.6, 0.2])
def test_gem_miner_is_the_literal_loop(density):
    model, task = net(), Small()
    mask = some_pruned(model)
    found = gem_miner(model, mask, task, drawn(), density, **GEM)

    draw = drawn()
    seed = search.seed_of(draw)
    start = {n: torch.rand(m.shape, generator=draw) for n, m in mask.items()}
    flags = {n: m.clone() for n, m in mask.items()}
    age = {n: torch.zeros(m.shape) for n, m in mask.items()}
    rate = 1 - (round(density * 45) / 42) ** (1 / 5)

    def after(step, scores):
        if step % 2 == 0 and step < 12:
            active = torch.cat([scores[n].detach()[flags[n]] for n in flags]).sort().values
            number = min(math.ceil(rate * len(active)), len(active) - round(density * 45))
            for n in flags:
                if number:
                    flags[n] &= scores[n] > active[number - 1]
                age[n] += flags[n]
        for score in scores.values():
            score.data.clamp_(0, 1)

    scores = literal(
        model, mask, task, start, lambda n, s: (s * flags[n], (s > 0.5) & flags[n]),
        12, seed, 0.5, 0.02, after,
    )  # fmt: skip
    kept = globally(found, mask, density)
    for n, flag in flags.items():
        assert torch.equal(kept[n], flag)
        torch.testing.assert_close(found[n], (1 + scores[n] + 2 * age[n]) * mask[n])


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), st.floats(0, 1), st.integers(1, 30))
def test_freezing_counts_follow_the_formula_down_to_the_target(start, share, freezings):
    target = max(1, round(share * start))
    rate, active, expected = 1 - (target / start) ** (1 / freezings), start, []
    for _ in range(freezings):
        active = max(active - math.ceil(rate * active), target)
        expected.append(active)
    assert active == target
    assert active_counts(start, target, freezings) == expected


def test_frozen_weights_never_return_and_the_last_flagged_are_the_mask(monkeypatch):
    model, task = net(), Small()
    mask = some_pruned(model)
    seen = worn(monkeypatch)
    scores = gem_miner(model, mask, task, drawn(), 0.2, **GEM)
    for (before, _), (after, _) in zip(seen, seen[1:], strict=False):
        assert not any((after[n] & ~before[n]).any() for n in mask)
    left = [masks.kept(flags) for flags, _ in seen]
    a, b, c, d, e = active_counts(42, 9, 5)
    assert left == [42, 42, a, a, b, b, c, c, d, d, e, e, e]
    kept = globally(scores, mask, 0.2)
    assert masks.kept(kept) == masks.count(0.2, mask) == e
    assert all(torch.equal(kept[n], seen[-1][0][n]) for n in mask)
    more = globally(scores, mask, a / 45)
    assert all(torch.equal(more[n], seen[2][0][n]) for n in mask), "frozen later ranks higher"


@pytest.mark.parametrize("scope", ["layerwise", "globally"])
def test_edge_popup_is_the_literal_loop(scope):
    model, task = net(), Small()
    mask = some_pruned(model)
    found = edge_popup(model, mask, task, drawn(), 0.4, **POPUP | {"scope": scope})

    draw = drawn()
    seed = search.seed_of(draw)
    start = {
        n: (2 * torch.rand(m.shape, generator=draw) - 1) / m.shape[1] ** 0.5
        for n, m in mask.items()
    }
    numbers = {"0.weight": 12, "2.weight": 6}  # two fifths of 30 and of 15
    latest = {n: s.abs() * mask[n] for n, s in start.items()}

    def pick(name, score):
        if scope == "globally":
            lowest = torch.cat([s.flatten() for s in latest.values()]).sort().values[-18]
        else:
            lowest = latest[name].flatten().sort().values[-numbers[name]]
        return score.abs(), latest[name] >= lowest

    def after(step, scores):
        latest.update({n: s.detach().abs() * mask[n] for n, s in scores.items()})

    literal(model, mask, task, start, pick, 6, seed, 0.5, 0.01, after)
    for n in mask:
        torch.testing.assert_close(found[n], latest[n])


@pytest.mark.parametrize(("scope", "allocation"), [("layerwise", uniform), ("globally", globally)])
def test_the_allocation_keeps_what_edge_popup_used_last(monkeypatch, scope, allocation):
    model = net()
    mask = some_pruned(model)
    seen = worn(monkeypatch)
    scores = edge_popup(model, mask, Small(), drawn(), 0.3, **POPUP | {"scope": scope})
    kept = allocation(scores, mask, 0.3)
    assert all(torch.equal(kept[n], seen[-1][1][n]) for n in mask)
    assert {masks.kept(picked) for _, picked in seen} == {masks.count(0.3, mask)}


def test_edge_popup_may_leave_a_layer_without_weights():
    model = nn.Sequential(nn.Linear(6, 1), nn.Linear(1, 3))
    mask = masks.dense(model)
    scores = edge_popup(model, mask, Small(), drawn(), 0.12, **POPUP)
    assert [int(m.sum()) for m in uniform(scores, mask, 0.12).values()] == [1, 0]


@pytest.mark.parametrize("revived", [False, True])
def test_movement_is_the_literal_loop(revived):
    model, task = net(), Small()
    dense = copy.deepcopy(model)
    mask = some_pruned(model)
    found = movement(dense if revived else model, mask, task, drawn(), 0.5, **MOVE)

    held = {n: p.detach() * ~mask[n] for n, p in dense.named_parameters() if n in mask}
    trained = copy.deepcopy(model)
    sums = {n: torch.zeros(m.shape, dtype=torch.float64) for n, m in mask.items()}
    speed = {n: torch.zeros_like(p) for n, p in trained.named_parameters()}
    seed = search.seed_of(drawn())
    for step in range(6):
        batch = list(task.batches("train", step // 2, seed))[step % 2]
        trained.zero_grad()
        task.loss(trained, batch).backward()
        with torch.no_grad():
            for n, p in trained.named_parameters():
                if n in mask:
                    sums[n] -= (p + held[n] * revived) * p.grad
                    p.grad *= mask[n]
                speed[n] = 0.5 * speed[n] + p.grad
                p -= 0.1 * speed[n]
    for n in mask:
        torch.testing.assert_close(found[n], sums[n].float(), rtol=1e-4, atol=1e-6)
    assert bool(found["0.weight"][~mask["0.weight"]].any()) == revived


@EACH
def test_one_generator_gives_one_search_and_another_gives_another(criterion, with_):
    model, task = net(), Small()
    mask = masks.dense(model)
    first, again, other = (criterion(model, mask, task, drawn(s), 0.5, **with_) for s in (3, 3, 4))
    assert all(torch.equal(first[n], again[n]) for n in mask)
    assert not any(torch.equal(first[n], other[n]) for n in mask)
    assert all(s.dtype == torch.float32 and s.isfinite().all() for s in first.values())


@EACH
def test_a_search_leaves_model_and_global_generator_as_found(criterion, with_):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.ReLU(), nn.Linear(5, 3)
    )
    model[1].eval()
    model[4].bias.requires_grad_(False)
    model[0].weight.grad = torch.ones(5, 6)
    mask = some_pruned(model)
    before = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state()
    first = criterion(model, mask, Small(), drawn(), 0.5, **with_)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [m.training for m in model] == [True, False, True, True, True]
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["4.bias"]
    assert model[0].weight.grad.tolist() == torch.ones(5, 6).tolist()
    assert all(p.grad is None for n, p in model.named_parameters() if n != "0.weight")
    torch.manual_seed(99)
    again = criterion(model, mask, Small(), drawn(), 0.5, **with_)
    assert all(torch.equal(first[n], again[n]) for n in mask), "dropout follows the generator"


@EACH
def test_memory_formats_agree(criterion, with_):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    mask = masks.dense(model)
    plain = criterion(model, mask, Small((3, 4, 4)), drawn(), 0.5, **with_)
    last = criterion(model, mask, Small((3, 4, 4), channels_last=True), drawn(), 0.5, **with_)
    for n in mask:
        torch.testing.assert_close(last[n], plain[n], rtol=1e-4, atol=1e-5)
        assert last[n].is_contiguous()


@pytest.mark.parametrize(
    ("criterion", "settings", "line"),
    [
        (gem_miner, GEM | {"length": "2ep", "period": "2ep"}, "length: 2ep ends before the first"),
        (gem_miner, GEM | {"period": "0it"}, "prune.criterion.period: 0it is no training"),
        (edge_popup, POPUP | {"length": "soon"}, "prune.criterion.length: 'soon' names no step"),
        (edge_popup, POPUP | {"scope": "global"}, "'global' is none of layerwise, globally"),
        (movement, MOVE | {"length": "0ep"}, "prune.criterion.length: 0ep is no training"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(criterion, settings, line):
    model = net()
    with pytest.raises(UsageError, match=line) as error:
        criterion(model, masks.dense(model), Small(), drawn(), 0.5, **settings)
    assert "\n" not in str(error.value)


def test_a_period_below_the_length_by_one_step_freezes_once(monkeypatch):
    model = net()
    seen = worn(monkeypatch)
    settings = GEM | {"length": "1ep1it", "period": "1ep"}
    gem_miner(model, masks.dense(model), Small(), drawn(), 0.2, **settings)
    assert [masks.kept(flags) for flags, _ in seen] == [45, 45, 9, 9]


@EACH
def test_a_search_that_diverges_says_so(criterion, with_):
    model = net()
    settings = with_ | {"lr": 1e38} | ({"penalty": 1e5} if criterion is gem_miner else {})
    with pytest.raises(DivergedError, match="prune.criterion.lr"):
        criterion(model, masks.dense(model), Small(), drawn(), 0.5, **settings)


@EACH
def test_a_signal_ends_a_search(criterion, with_, monkeypatch):
    monkeypatch.setattr(signals, "ASKED", [143])
    monkeypatch.setattr(signals, "HINT", ["lottery run"])
    model = net()
    with pytest.raises(Stopped, match="lottery run"):
        criterion(model, masks.dense(model), Small(), drawn(), 0.5, **with_)


@pytest.fixture(scope="module")
def task():
    options = {
        "validation": 144, "split_seed": 0, "subsample": 0, "label_noise": 0.0, "crop": 0,
        "flip": False, "cutout": 0, "mean": [0.3053], "std": [0.3759],
    }  # fmt: skip
    return digits(Path(), **options).prepare(batch_size=96, device=torch.device("cpu"))


def untrained(task, seed=0):
    torch.manual_seed(seed)
    shape = Outline({}, "", input_shape=task.input_shape, outputs=task.outputs, fingerprint="")
    return lenet(shape, hidden=[128], init="signed_constant")


def accuracy(task, model, mask):
    pruned = copy.deepcopy(model)
    masks.apply_(pruned, mask)
    return task.evaluate(pruned, "test")["accuracy"]


def test_gem_miner_finds_a_net_that_is_accurate_untrained(task):
    """The sanity checks of Rare Gems: inversion, shuffle and new weights each undo the subnet."""
    model = untrained(task)
    dense = masks.dense(model)
    settings = {"length": "6ep", "period": "1ep", "lr": 1.0, "momentum": 0.9, "penalty": 0.0}
    scores = gem_miner(model, dense, task, drawn(), 0.5, **settings)
    kept = globally(scores, dense, 0.5)
    inverted = globally({n: -s for n, s in scores.items()}, dense, 0.5)
    draw = drawn(5)
    shuffled = {
        n: m.flatten()[torch.randperm(m.numel(), generator=draw)].view_as(m)
        for n, m in kept.items()
    }
    assert accuracy(task, model, kept) > 0.8
    assert accuracy(task, model, inverted) < 0.3
    assert accuracy(task, model, shuffled) < 0.4
    assert accuracy(task, untrained(task, 1), kept) < 0.4
    assert accuracy(task, model, dense) < 0.4


def test_at_high_sparsity_gem_miner_finds_more_than_edge_popup_and_both_more_than_chance(task):
    """The ordering of Rare Gems, clear for these weights: over four draws 70 % against 52 %."""
    model = untrained(task, 2)
    dense = masks.dense(model)
    same = {"length": "20ep", "lr": 0.1, "momentum": 0.9}
    mined = gem_miner(model, dense, task, drawn(), 0.02, period="1ep", penalty=0.0, **same)
    popped = edge_popup(
        model, dense, task, drawn(), 0.02, weight_decay=1e-4, scope="layerwise", **same
    )
    gem = accuracy(task, model, globally(mined, dense, 0.02))
    popup = accuracy(task, model, uniform(popped, dense, 0.02))
    assert gem > popup + 0.15
    assert popup > 0.25


def test_ties_at_the_clamp_do_not_empty_the_last_layer(task):
    """At this rate nearly every active score lies at 0 or 1; by index, `fc` would go first."""
    model = untrained(task)
    dense = masks.dense(model)
    settings = {"length": "12ep", "period": "1ep", "lr": 3.0, "momentum": 0.9, "penalty": 0.0}
    kept = globally(gem_miner(model, dense, task, drawn(), 0.05, **settings), dense, 0.05)
    assert kept["fc.weight"].float().mean() > 0.05

"""Monitors: masks whose paths can be read by eye, then every path of small nets by hand."""

import copy
import math
from itertools import pairwise, product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lottery.components.models.resnet_cifar import resnet_cifar
from lottery.components.models.vgg import vgg
from lottery.tasks.images.outline import Outline
from lottery.terms import mask as masks
from lottery.terms.prunable import layers
from lottery.training import monitor

NAN = math.nan
INIT = {"init": "kaiming_normal", "bn_scale": "ones"}


def task(*shape, outputs=2):
    return Outline({}, "", input_shape=shape, outputs=outputs, fingerprint="")


def boolean(rows):
    return torch.tensor(rows, dtype=torch.bool)


def random_mask(model, density, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {n: torch.rand(m.shape, generator=draw) < density for n, m in masks.dense(model).items()}


def mlp(*sizes):
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def test_a_weight_counts_only_on_a_path_from_input_to_output():
    model = mlp(2, 3, 2)
    mask = {
        "0.weight": boolean([[1, 1], [0, 0], [1, 0]]),  # unit 1 hears nothing
        "2.weight": boolean([[1, 1, 0], [0, 0, 0]]),  # unit 2 is not heard, output 1 hears nothing
    }
    found = monitor.effective(model, task(2), mask)
    assert found["0.weight"].tolist() == [[True, True], [False, False], [False, False]]
    assert found["2.weight"].tolist() == [[True, False, False], [False, False, False]]
    report = monitor.layer_report(model, task(2), mask, model.state_dict(), model.state_dict())
    first, last = report.values()
    assert [first[k] for k in ("kept", "total", "effective", "dead_outputs", "outputs")] == [
        3,
        6,
        2,
        2,
        3,
    ]
    assert [last[k] for k in ("kept", "total", "effective", "dead_outputs", "outputs")] == [
        2,
        6,
        1,
        1,
        2,
    ]
    assert monitor.collapse(report) == []


def by_enumeration(mask):
    """Walk every path of an MLP, unit by unit."""
    layers = list(mask.values())
    live = [torch.zeros_like(m) for m in layers]
    widths = [layers[0].shape[1], *(m.shape[0] for m in layers)]
    for path in product(*map(range, widths)):
        steps = list(zip(layers, path[1:], path))
        if all(m[out, into] for m, out, into in steps):
            for found, (_, out, into) in zip(live, steps):
                found[out, into] = True
    return live


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_agrees_with_every_path_of_a_small_net(data):
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    model = mlp(*sizes)
    mask = {}
    for name, weight in masks.prunable(model).items():
        bits = st.lists(st.booleans(), min_size=weight.numel(), max_size=weight.numel())
        mask[name] = torch.tensor(data.draw(bits)).view(weight.shape)
    found = monitor.effective(model, task(sizes[0]), mask)
    assert all(torch.equal(a, b) for a, b in zip(found.values(), by_enumeration(mask)))


class Shortcut(nn.Module):
    """A residual block with a BatchNorm, then a max pool."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 1)
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.bn = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2, 2)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(x + self.bn(self.conv(x)))
        return self.fc(F.max_pool2d(x, 4).flatten(1))


def test_a_shortcut_keeps_a_net_alive_without_the_layer_beside_it():
    model = Shortcut()
    mask = masks.dense(model)
    mask["conv.weight"] = torch.zeros_like(mask["conv.weight"])
    mask["stem.weight"] = boolean([1, 0]).view(2, 1, 1, 1)
    found = monitor.effective(model, task(1, 4, 4), mask)
    assert found["stem.weight"].flatten().tolist() == [True, False]
    assert found["fc.weight"].tolist() == [[True, False], [True, False]]
    report = monitor.layer_report(model, task(1, 4, 4), mask, *[model.state_dict()] * 2)
    assert monitor.collapse(report) == ["conv.weight"]
    assert report["conv.weight"]["dead_outputs"] == 2


def test_a_net_that_is_cut_collapses_everywhere():
    model = mlp(2, 2, 2, 2)
    mask = masks.dense(model)
    mask["2.weight"] = boolean([[0, 0], [0, 0]])
    report = monitor.layer_report(model, task(2), mask, model.state_dict(), model.state_dict())
    assert monitor.collapse(report) == ["0.weight", "2.weight", "4.weight"]


def test_any_pixel_of_a_max_pool_counts_and_padding_does_not():
    model = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3, padding=1),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(),
    )  # fmt: skip
    found = monitor.effective(model, task(1, 2, 2), masks.dense(model))
    assert found["0.weight"].all()
    # One pixel is left, and eight of the nine weights see only the zeros around it.
    assert found["2.weight"].flatten().tolist() == [False] * 4 + [True] + [False] * 4


def test_a_layer_outside_the_mask_is_dense():
    model = mlp(2, 2, 2)
    found = monitor.effective(model, task(2), {"0.weight": boolean([[1, 0], [0, 0]])})
    assert {n: f.tolist() for n, f in found.items()} == {
        "0.weight": [[True, False], [False, False]]
    }


def channels_alive(mask):
    """Follow a plain chain channel by channel, forwards and then backwards."""
    pairs = {name: m.reshape(*m.shape[:2], -1).any(2) for name, m in mask.items()}
    reached, heard = {}, {}
    alive = torch.ones(next(iter(pairs.values())).shape[1], dtype=torch.bool)
    for name, pair in pairs.items():
        reached[name] = alive
        alive = (pair & alive).any(1)
    alive = torch.ones_like(alive)
    for name, pair in reversed(pairs.items()):
        heard[name] = alive
        alive = (pair & alive[:, None]).any(0)
    shaped = {n: (slice(None), *[None] * (m.ndim - 1)) for n, m in mask.items()}
    return {
        n: m & heard[n][shaped[n]] & reached[n][(None, *shaped[n][:-1])] for n, m in mask.items()
    }


def test_vgg19_agrees_with_its_channels():
    model = vgg(task(3, 32, 32), depth=19, width=16, batch_norm=True, **INIT)
    mask = random_mask(model, 0.02)
    # No stage is below 4 pixels, so each of the 3x3 weights sees some, and channels tell the rest.
    found = monitor.effective(model, task(3, 64, 64), mask)
    expected = channels_alive(mask)
    assert 0 < masks.kept(expected) < masks.kept(mask)
    assert all(torch.equal(found[name], expected[name]) for name in mask)


def test_a_chain_of_a_hundred_wide_layers_underflows_nowhere():
    model = mlp(*[40] * 102)
    mask = random_mask(model, 0.05)
    found = monitor.effective(model, task(40), mask)
    expected = channels_alive(mask)
    assert 0 < masks.kept(expected) < masks.kept(mask)
    assert all(torch.equal(found[name], expected[name]) for name in mask)


@pytest.mark.parametrize("shortcut", ["conv", "identity"])
def test_resnet110_is_wholly_effective_when_dense(shortcut):
    model = resnet_cifar(task(1, 12, 12), depth=110, width=2, shortcut=shortcut, **INIT)
    found = monitor.effective(model, task(1, 12, 12), masks.dense(model))
    assert all(live.all() for live in found.values())


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inward = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.squeeze = nn.Linear(4, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        x = self.norm(F.gelu(self.inward(x)))
        x = self.attention(x, x, x)[0].mean(1)
        return F.softmax(self.out(F.dropout(x) * F.hardsigmoid(self.squeeze(x))), 1)


def test_attention_norms_and_gates_let_signals_through():
    model = Attention()
    mask = masks.dense(model)
    assert all(live.all() for live in monitor.effective(model, task(3, 4), mask).values())
    mask["inward.weight"][0] = False
    mask["out.weight"][1] = False
    found = monitor.effective(model, task(3, 4), mask)
    assert found["inward.weight"].sum(1).tolist() == [0, 4, 4, 4]
    assert found["out.weight"].sum(1).tolist() == [4, 0]


def test_a_deep_transformer_overflows_nowhere():
    block = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, norm_first=True)
    model = nn.Sequential(nn.Linear(4, 4), *(copy.deepcopy(block) for _ in range(24)))
    mask = masks.dense(model)
    assert all(live.all() for live in monitor.effective(model, task(3, 4), mask).values())


class Difference(nn.Module):
    """Two layers whose difference is the output: paths of ones cancel."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.out(self.a(x) - self.b(x))


def test_what_an_architecture_hides_is_not_a_number():
    model = Difference()
    mask = masks.dense(model)
    report = monitor.layer_report(model, task(2), mask, model.state_dict(), model.state_dict())
    assert math.isnan(report["out.weight"]["effective"])
    assert math.isnan(report["out.weight"]["dead_outputs"])
    assert monitor.collapse(report) == []


def test_the_model_stays_as_it_is():
    model = Shortcut().train()
    model.bn.running_mean.fill_(0.5)
    model.fc.weight.requires_grad_(False)
    model.stem.weight.grad = torch.ones_like(model.stem.weight)
    before = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state()
    mask = random_mask(model, 0.5)
    kept = copy.deepcopy(mask)
    monitor.layer_report(model, task(1, 4, 4), mask, before, before)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert all(torch.equal(kept[n], m) for n, m in mask.items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(m.training for m in model.modules())
    assert not model.fc.weight.requires_grad and model.conv.weight.requires_grad
    assert model.stem.weight.grad.eq(1).all() and model.conv.weight.grad is None
    assert not any(m._forward_hooks for m in model.modules())


def test_movement_is_that_of_kept_weights():
    model = nn.Linear(4, 1, bias=False)
    before = {"weight": torch.tensor([[3.0, -4.0, 9.0, 0.0]])}
    after = {"weight": torch.tensor([[0.0, 8.0, -9.0, 0.0]])}
    mask = {"weight": boolean([[1, 1, 0, 1]])}
    (row,) = monitor.layer_report(model, task(4), mask, before, after).values()
    assert row["sign_changes"] == pytest.approx(2 / 3)  # 3 to 0 and -4 to 8
    assert row["moved"] == pytest.approx(math.sqrt(9 + 144))
    assert row["moved_relative"] == pytest.approx(math.sqrt(153) / 5)


def test_movement_of_nothing_is_not_a_number():
    row = monitor.movement(boolean([0, 0]), torch.ones(2), torch.zeros(2))
    assert math.isnan(row["sign_changes"]) and math.isnan(row["moved_relative"])
    assert row["moved"] == 0


def test_outputs_of_a_transposed_convolution_in_groups():
    layer = layers(nn.ConvTranspose2d(4, 6, 1, groups=2))["weight"]
    weight = torch.arange(12.0).view(4, 3, 1, 1)
    # Group 0 has inputs 0 and 1 and outputs 0, 1, 2; group 1 the rest.
    assert monitor.rows(layer, weight).tolist() == [
        [0, 3],
        [1, 4],
        [2, 5],
        [6, 9],
        [7, 10],
        [8, 11],
    ]

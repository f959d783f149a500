"""The graph of tied channels: small nets whose ties can be read, then every net of the zoo."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lottery.errors import UsageError
from lottery.nets.graph import trace
from lottery.tasks.images.outline import Outline

torch.set_num_threads(1)


def task(*shape, outputs=2):
    return Outline({}, "", input_shape=shape, outputs=outputs, fingerprint="")


class Residual(nn.Module):
    """Two convolutions summed, a depthwise one, a concatenation, a flattening."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(1, 3, 3, padding=1)
        self.two = nn.Conv2d(3, 3, 3, padding=1)
        self.bn = nn.BatchNorm2d(3)
        self.depthwise = nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.side = nn.Conv2d(3, 2, 1)
        self.fc = nn.Linear(5 * 4, 2)

    def forward(self, x):
        x = self.one(x)
        x = F.relu(x + self.bn(self.two(x)))
        x = self.depthwise(x)
        x = torch.cat([x, self.side(x)], 1)
        return self.fc(F.max_pool2d(x, 2).flatten(1))


def test_sums_depthwise_concatenation_and_flattening_are_followed():
    net = trace(Residual(), task(1, 4, 4))
    a, b, c = net.outputs["one.weight"].tolist()
    assert len({a, b, c}) == 3
    assert net.outputs["two.weight"].tolist() == [a, b, c]
    assert net.inputs["two.weight"].tolist() == [a, b, c]
    assert net.outputs["depthwise.weight"].tolist() == [a, b, c]
    assert "depthwise.weight" not in net.inputs
    d, e = net.outputs["side.weight"].tolist()
    assert net.inputs["fc.weight"].tolist() == [n for n in (a, b, c, d, e) for _ in range(4)]
    assert net.norms == {"bn": net.norms["bn"]}
    assert net.norms["bn"].tolist() == [a, b, c]
    assert net.after == {"two.weight": "bn"}
    assert net.fixed[net.inputs["one.weight"]].all()
    assert net.fixed[net.outputs["fc.weight"]].all()
    assert not net.fixed[[a, b, c, d, e]].any()
    assert not net.held.any()


class Padded(nn.Module):
    """A shortcut without weights, which puts a zero before and one after the channels."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(1, 2, 1)
        self.two = nn.Conv2d(2, 3, 1)
        self.three = nn.Conv2d(3, 4, 1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = self.one(x)
        x = self.three(self.two(x)) + F.pad(x, (0, 0, 0, 0, 1, 1))
        return self.fc(x.mean((2, 3)))


def test_padded_channels_are_tied_by_place_and_held():
    net = trace(Padded(), task(1, 4, 4))
    one, three = net.outputs["one.weight"], net.outputs["three.weight"]
    assert three[1:3].tolist() == one.tolist()
    assert len(set(three.tolist())) == 4
    assert net.held[three].all()
    assert not net.held[net.outputs["two.weight"]].any()
    assert not net.fixed[three].any()


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(1, 4, 1)
        self.two = nn.Conv2d(4, 6, 1, groups=2)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        return self.fc(self.two(self.one(x)).mean((2, 3)))


def test_channels_at_one_place_of_each_group_are_tied():
    net = trace(Grouped(), task(1, 2, 2))
    a, b = net.inputs["two.weight"].tolist()
    assert net.outputs["one.weight"].tolist() == [a, b, a, b]
    c, d, e = net.outputs["two.weight"].tolist()[:3]
    assert net.outputs["two.weight"].tolist() == [c, d, e, c, d, e]
    assert len({a, b, c, d, e}) == 5


class Gated(nn.Module):
    """Squeeze and excitation: the gate's channels are those that it scales."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 1)
        self.down = nn.Conv2d(3, 2, 1)
        self.up = nn.Conv2d(2, 3, 1)
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        x = self.conv(x)
        gate = torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(gate * x, 1), 1))


def test_a_gate_is_tied_to_what_it_scales():
    net = trace(Gated(), task(1, 3, 3))
    assert net.outputs["up.weight"].tolist() == net.outputs["conv.weight"].tolist()
    assert net.inputs["down.weight"].tolist() == net.outputs["conv.weight"].tolist()


class Summed(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(3, 3)

    def forward(self, x):
        return torch.cumsum(self.one(x), 1)


class Mixed(Summed):
    def forward(self, x):
        return self.one(x) - self.one(x).mean(1, keepdim=True)


@pytest.mark.parametrize(("net", "word"), [(Summed, "cumsum"), (Mixed, "mean over channels")])
def test_an_operation_that_mixes_channels_is_named(net, word):
    with pytest.raises(UsageError, match=word) as error:
        trace(net(), task(3))
    assert "\n" not in str(error.value)


class Normed(nn.Module):
    """What a LayerNorm reads is read whole; what is scaled by a vector keeps its number."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 6)
        self.token, self.scale = nn.Parameter(torch.ones(1, 4)), nn.Parameter(torch.ones(5))
        self.norm = nn.LayerNorm(4)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        x = torch.cat([self.token, self.one(x)])
        return self.fc(self.three(self.two(self.norm(x)) * self.scale)).softmax(-1)


def test_channels_that_are_mixed_stay_and_those_beside_constants_are_held():
    net = trace(Normed(), task(3))
    assert net.fixed[net.outputs["one.weight"]].all() and net.fixed[net.inputs["two.weight"]].all()
    two, three = net.outputs["two.weight"], net.outputs["three.weight"]
    assert not net.fixed[two].any() and net.held[two].all()
    assert not (net.fixed | net.held)[three].any()
    assert len(set(three.tolist())) == 6


class Words(nn.Module):
    """Words in, scores of words out, by one matrix of vectors."""

    def __init__(self):
        super().__init__()
        self.words, self.up, self.down = nn.Embedding(5, 4), nn.Linear(4, 6), nn.Linear(6, 4)

    def forward(self, ids):
        x = self.words(ids)
        return F.linear(x + self.down(F.relu(self.up(x))), self.words.weight)


def test_what_stands_for_words_stays_and_what_is_made_of_it_is_followed():
    ids = torch.tensor([[0, 3, 4]])
    net = trace(Words(), SimpleNamespace(inputs=lambda batch: batch, example=lambda number: (ids,)))
    assert set(net.outputs) == {"up.weight", "down.weight"}
    assert net.fixed[net.outputs["down.weight"]].all()
    up = net.outputs["up.weight"]
    assert not (net.fixed | net.held)[up].any() and len(set(up.tolist())) == 6


def test_the_model_stays_as_it_is():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(8, 2))
    model[2].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    trace(model, task(1, 2, 2))
    assert [m.training for m in model] == [True, True, False, True, True]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)

"""A planted order of units is found again, and a reordered net computes the same function."""

from itertools import permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lottery.components.models.lenet import lenet
from lottery.components.models.resnet_cifar import resnet_cifar
from lottery.errors import UsageError
from lottery.nets.alignment import assigned, by_activations, by_weights, units
from lottery.nets.graph import trace
from lottery.nets.permutations import groups, own_tensors, permute_, permuted
from lottery.tasks.images.outline import Outline
from lottery.terms.copying import copied

torch.set_num_threads(1)


def task(*shape, outputs=3):
    return Outline({}, "", input_shape=shape, outputs=outputs, fingerprint="")


class Small(nn.Module):
    """A convolution with BatchNorm, a depthwise one, a flattening, a hidden linear layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.depthwise = nn.Conv2d(5, 5, 3, padding=1, groups=5)
        self.hidden, self.fc = nn.Linear(5 * 4, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = F.relu(self.depthwise(F.relu(self.bn(self.conv(x)))))
        return self.fc(F.relu(self.hidden(F.max_pool2d(x, 2).flatten(1))))


NETS = {
    "lenet": lambda: lenet(task(1, 4, 4), hidden=[9, 7], init="kaiming_normal"),
    "small": Small,
    "resnet": lambda: resnet_cifar(
        task(1, 8, 8), depth=8, width=4, shortcut="conv", init="kaiming_normal", bn_scale="ones"
    ),
    "option_a": lambda: resnet_cifar(
        task(1, 8, 8), depth=8, width=4, shortcut="identity", init="kaiming_normal", bn_scale="ones"
    ),
}
SIZES = {"lenet": [7, 9], "small": [5, 6], "resnet": [4, 4, 8, 8, 16, 16], "option_a": [4, 8, 16]}


def drawn(name):
    """Return a net with weights and running statistics drawn, and its task."""
    torch.manual_seed(0)
    net = NETS[name]().eval()
    for tensor in own_tensors(net).values():
        if tensor.is_floating_point():
            flat = tensor.dim() == 1  # shifts so large that no unit is dead: dead ones are all alike
            tensor.copy_(1 + torch.rand(tensor.shape) if flat else 0.3 * torch.randn(tensor.shape))
    return net, task(*((1, 8, 8) if name in ("resnet", "option_a") else (1, 4, 4)))


def shuffled(which):
    draw = torch.Generator().manual_seed(1)
    return [torch.randperm(len(group.channels), generator=draw) for group in which]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("match", ["activations", "weights"])
def test_a_planted_order_is_found_again(name, match):
    a, its = drawn(name)
    _, which = units(a, its, "branch rebasin")
    assert sorted(len(group.channels) for group in which) == SIZES[name]
    b, planted = copied(a), shuffled(which)
    permute_(b, which, planted)
    x = torch.randn(40, *its.input_shape)
    assert any(not torch.equal(t, own_tensors(b)[n]) for n, t in own_tensors(a).items())
    torch.testing.assert_close(a(x), b(x), rtol=1e-4, atol=1e-4)
    if match == "activations":
        found = by_activations(a, b, which, [(x[:20],), (x[20:],)])
    else:
        found = by_weights(a, b, which, torch.Generator().manual_seed(2))
    assert all(map(torch.equal, found, planted))
    mask = {n: t.abs() > 0.1 for n, t in a.named_parameters() if t.dim() > 1}
    moved = permuted(mask, which, planted)
    assert all(torch.equal(keep, own_tensors(b)[n].abs() > 0.1) for n, keep in moved.items())
    assert {n: int(m.sum()) for n, m in moved.items()} == {n: int(m.sum()) for n, m in mask.items()}
    same = permuted(mask, which, [torch.arange(len(order)) for order in planted])
    assert all(torch.equal(keep, mask[n]) for n, keep in same.items())


def test_rows_and_columns_of_a_mask_go_along():
    net = lenet(task(1, 1, 2, outputs=2), hidden=[2], init="kaiming_normal")
    which = groups(net, trace(net, task(1, 1, 2, outputs=2)))
    mask = {
        "layers.0.weight": torch.tensor([[True, False], [True, True]]),
        "fc.weight": torch.tensor([[True, False], [False, False]]),
    }
    moved = permuted(mask, which, [torch.tensor([1, 0])])
    assert moved["layers.0.weight"].tolist() == [[True, True], [True, False]]
    assert moved["fc.weight"].tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_an_assignment_is_the_best_of_all(size):
    table = np.random.default_rng(size).normal(size=(size, size))
    best = max(permutations(range(size)), key=lambda p: sum(table[i, j] for i, j in enumerate(p)))
    assert assigned(torch.from_numpy(table)).tolist() == list(best)


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(UsageError, match="not finite"):
        assigned(torch.tensor([[torch.nan]]))


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        return self.fc(x.flatten(1))


class Placed(Flat):
    """A net that knows its channels by their places, by a weight of its own."""

    def __init__(self):
        super().__init__()
        self.inner, self.own = nn.Linear(16, 16), nn.Parameter(torch.rand(16))

    def forward(self, x):
        return self.fc(self.own * self.inner(x.flatten(1)))


@pytest.mark.parametrize("net", [Flat, Placed])
def test_nets_without_units_are_refused(net):
    with pytest.raises(UsageError, match="branch rebasin: this net has no hidden units"):
        units(net(), task(1, 4, 4), "branch rebasin")

"""A control of a structured mask is a legal mask of it, with as many units and weights a layer."""

from functools import partial

import pytest
import torch

from lottery.components.allocations.globally import globally
from lottery.components.models.resnet_cifar import resnet_cifar
from lottery.components.models.vit import vit
from lottery.components.structures.block import block
from lottery.components.structures.channel import channel
from lottery.components.structures.filter import filter
from lottery.components.structures.head import head
from lottery.components.structures.n_m import n_m
from lottery.components.structures.weight import weight
from lottery.errors import UsageError
from lottery.pruning.elsewhere import moved, redrawn
from lottery.tasks.images.outline import Outline
from lottery.terms import mask as masks
from lottery.terms.units import allocate

torch.set_num_threads(1)
TASK = Outline({}, "", input_shape=(1, 8, 8), outputs=3, fingerprint="")
STRUCTURES = {
    "filter": partial(filter, pool="l1"),
    "channel": partial(channel, pool="l1", of="out"),
    "block": partial(block, rows=3, columns=5, pool="l1"),
    "n_m": partial(n_m, n=2, m=4),
}


def resnet(shortcut="conv"):
    torch.manual_seed(0)
    return resnet_cifar(TASK, depth=8, width=6, shortcut=shortcut, init="kaiming_normal", bn_scale="ones")


def pruned(net, structure, density):
    """Return a mask of the structure, by the sizes of weights, and what gives its units."""
    dense = masks.dense(net)
    scores = {name: dict(net.named_parameters())[name].detach().abs() for name in dense}
    found = allocate(structure(net, TASK, scores, dense), globally, density, dense)
    return found, partial(structure, net, TASK)


@pytest.mark.parametrize("shortcut", ["conv", "identity"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_whole_units_move_and_every_layer_keeps_its_count(name, shortcut):
    mask, units_of = pruned(resnet(shortcut), STRUCTURES[name], 0.4)
    again = redrawn(mask, units_of, torch.Generator().manual_seed(1), "shuffle")
    assert {n: int(m.sum()) for n, m in again.items()} == {n: int(m.sum()) for n, m in mask.items()}
    assert any(not torch.equal(again[n], mask[n]) for n in mask)
    other = redrawn(mask, units_of, torch.Generator().manual_seed(2), "shuffle")
    assert any(not torch.equal(again[n], other[n]) for n in mask)
    if name == "n_m":
        for keep in again.values():  # inputs in the order height, width, channel
            flat = keep.movedim(1, -1).flatten(1)
            whole = flat[:, : flat.shape[1] // 4 * 4].reshape(-1, 4)
            assert int(whole.sum(1).max()) <= 2
    else:  # whole units alone: spread again, nothing changes
        zeros = {n: torch.zeros(m.shape) for n, m in mask.items()}
        dense = {n: torch.ones_like(m) for n, m in mask.items()}
        kept = units_of(zeros, again).mask
        assert all(torch.equal(m, again[n]) for n, m in units_of(zeros, dense).spread(kept).items())
        before = units_of(zeros, mask).mask
        assert {n: int(m.sum()) for n, m in kept.items()} == {n: int(m.sum()) for n, m in before.items()}


def test_heads_move_whole():
    torch.manual_seed(0)
    net = vit(TASK, patch=4, width=12, depth=2, heads=4, ratio=1.0, dropout=0.0, init="kaiming_normal")
    mask, units_of = pruned(net, partial(head, pool="l1"), 0.8)
    again = redrawn(mask, units_of, torch.Generator().manual_seed(1), "random")
    assert {n: int(m.sum()) for n, m in again.items()} == {n: int(m.sum()) for n, m in mask.items()}
    assert any(not torch.equal(again[n], mask[n]) for n in mask)


def test_single_weights_are_left_to_others_and_draw_nothing():
    draw = torch.Generator().manual_seed(1)
    before = draw.get_state()
    mask = {"layers.0.weight": torch.tensor([[True, False]])}
    assert redrawn(mask, partial(weight, None, TASK), draw, "shuffle") is None
    assert torch.equal(draw.get_state(), before)


def test_units_change_places_with_those_alike_only():
    kept, alike = torch.tensor([True, False, True, False]), torch.tensor([1, 1, 2, 2])
    draws = [moved(kept, alike, torch.Generator().manual_seed(n)).tolist() for n in range(20)]
    assert {(sum(d[:2]), sum(d[2:])) for d in draws} == {(1, 1)}
    assert len({tuple(d) for d in draws}) == 4


def test_a_mask_of_single_weights_is_refused():
    mask, units_of = pruned(resnet(), STRUCTURES["channel"], 0.4)
    name = next(n for n, m in mask.items() if m.any() and n.startswith("blocks"))
    mask[name] = mask[name].clone()
    mask[name].view(-1)[int(mask[name].reshape(-1).nonzero()[0])] = False
    with pytest.raises(UsageError, match="not made of whole units"):
        redrawn(mask, units_of, torch.Generator(), "shuffle")

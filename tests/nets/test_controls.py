"""Every net that users bring, through `lottery run`: branches and what of them lies on the disk."""

import pytest
import torch
import zoo as nets

from lottery import mask as masks
from lottery.reopen import finished

HALF = ("prune=imp", "schedule=listed", "schedule.densities=[0.5]")
SAME_MASK = ("reinit", "signs", "hold", "reorder", "rewind", "longer")
OTHER_MASK = ("random", "shuffle", "rearrange", "invert")
QUICK = {"tied_embedding": ("random", "reinit"), "head_first": ("shuffle", "signs")}
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


def check_level(level, held=False):
    """A level keeps the exact count; pruned weights are +0.0 under every name of a tensor."""
    names = level.run.names
    total = masks.total(level.run.dense)
    assert masks.kept(level.mask) == round(0.5 * total)
    for weights in (level.ticket.weights, level.end.weights):
        for first, every in names.items():
            for name in every:
                assert torch.equal(weights[name], weights[first]), name
                if first in level.mask and not held:
                    gone = weights[name][~level.mask[first]]
                    assert not gone.any() and not torch.signbit(gone).any(), name


@pytest.mark.parametrize(
    "net", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in nets.NETS if n != "compiled")]
)
def test_branches_of_a_net(net, zoo, request):
    slow = any(mark.name == "slow" for mark in request.node.iter_markers())
    wanted = (*SAME_MASK, *OTHER_MASK) if slow else QUICK[net]
    folder = zoo(net, *HALF, "levels=1", f"branch=[{','.join(wanted)}]")
    level = finished(folder, 1, "", "test")
    check_level(level)
    per_layer = {name: int(keep.sum()) for name, keep in level.mask.items()}
    for branch in wanted:
        control = finished(folder, 1, branch, "test")
        check_level(control, held=branch == "hold")
        if branch in SAME_MASK:
            assert all(torch.equal(control.mask[n], m) for n, m in level.mask.items()), branch
        elif branch != "invert":  # the layers keep as many, elsewhere
            assert {n: int(m.sum()) for n, m in control.mask.items()} == per_layer, branch
            assert masks.kept(control.mask) == masks.kept(level.mask)
    if "reinit" in wanted:
        fresh = finished(folder, 1, "reinit", "test").ticket.weights
        for name, keep in level.mask.items():
            there = level.ticket.weights[name][keep]
            if len(there) > 1 and len(there.unique()) > 1:
                assert not torch.equal(fresh[name][keep], there), name

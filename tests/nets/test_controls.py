"""Every net that users bring, through `lottery run`: branches and what of them lies on the disk."""

import json

import numpy as np
import pytest
import torch
import zoo as nets

from lottery.experiment.recorded_run import finished
from lottery.terms import mask as masks

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
    if "reinit" in wanted and net not in FIXED:
        fresh = finished(folder, 1, "reinit", "test").ticket.weights
        for name, keep in level.mask.items():
            there = level.ticket.weights[name][keep]
            if len(there) > 1 and len(there.unique()) > 1:
                assert not torch.equal(fresh[name][keep], there), name


FIXED = {"seeds_itself": "of every layer", "pretrained": "of the layers: a, b)"}  # of their weights


@pytest.mark.parametrize("net", [*FIXED, "drawn_by_numpy"])
def test_a_fresh_draw_that_is_none_is_told(net, zoo, capsys):
    """A model's function may draw the same weights whatever the seed: then reinit is the ticket."""
    folder = zoo(net, *HALF, "levels=1", "branch=[reinit,signs]")
    lines = [line for line in capsys.readouterr().err.splitlines() if "whatever the seed" in line]
    kept = json.loads((folder / "run.json").read_text()).get("warnings", [])
    level, control = (finished(folder, 1, branch, "test") for branch in ("", "reinit"))
    same = [n for n in level.mask if torch.equal(level.ticket.weights[n], control.ticket.weights[n])]
    assert len(lines) == sum("whatever the seed" in one["text"] for one in kept) == (net in FIXED)
    assert len(same) == {"seeds_itself": 3, "pretrained": 2, "drawn_by_numpy": 0}[net]
    for line in lines:
        assert line.startswith("warning: branch reinit: ") and FIXED[net] in line


def test_a_net_that_numpy_draws_is_the_same_in_every_process(zoo):
    """So a run that is begun again finds its levels."""
    folder = zoo("drawn_by_numpy", *HALF, "levels=1")
    before = (folder / "metrics.csv").read_bytes()
    np.random.seed(7)
    state = np.random.get_state()[1].copy()
    zoo("drawn_by_numpy", *HALF, "levels=1")
    assert (folder / "metrics.csv").read_bytes() == before
    assert (np.random.get_state()[1] == state).all()  # whoever calls us has a use for it
    level = finished(folder, 0, "", "test")
    fresh = [level.run.fresh("init").weights["a.weight"] for _ in range(2)]
    assert torch.equal(*fresh) and torch.equal(fresh[0], level.ticket.weights["a.weight"])

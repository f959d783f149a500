"""Every net that users bring, from every point that a level may start at."""

import pytest
import torch
import zoo as nets
from test_controls import check_level

from lottery.experiment.recorded_run import finished
from lottery.terms import mask as masks
from lottery.terms.step import Step

RUN = ("prune=imp", "schedule=listed", "schedule.densities=[0.5]", "levels=1")
REWINDS = {
    "init": (), "step": ("rewind.to=2it",), "lr": ("rewind.to=2it",),
    "finetune": ("rewind.steps=1ep",), "reinit": (),
}  # fmt: skip
QUICK = {"pretrained": ("reinit",), "tied_embedding": ("finetune",)}
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


def check_rewind(rewind, level):
    """The level starts from the weights that its rewind names, under its mask."""
    run = level.run
    dense = finished(run.folder, 0, "", "test")
    wanted = {
        "init": lambda: run.initial.weights,
        "step": lambda: (
            dense.state(Step(level.ticket.span.start, run.length.steps_per_epoch)).weights
        ),
        "reinit": lambda: run.fresh("rewind", 1).weights,
    }.get(rewind, lambda: dense.end.weights)()
    for name, weight in level.ticket.weights.items():
        first = next((n for n, every in run.names.items() if name in every), name)
        keep = level.mask.get(first)
        there = wanted[name] if keep is None else wanted[name].masked_fill(~keep, 0.0)
        assert torch.equal(weight, there), name


@pytest.mark.parametrize(
    "net",
    [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in nets.NETS if n != "compiled")],
)
def test_rewinds_of_a_net(net, zoo, request):
    slow = any(mark.name == "slow" for mark in request.node.iter_markers())
    place = nets.NETS.index(net)
    two = [list(REWINDS)[(place + step) % len(REWINDS)] for step in (0, 2)]  # each net has some
    for rewind in two if slow else QUICK[net]:
        folder = zoo(net, *RUN, f"rewind={rewind}", *REWINDS[rewind])
        level = finished(folder, 1, "", "test")
        check_level(level)
        check_rewind(rewind, level)
    if slow and place % 3 == 0:
        ticket = (
            "rewind=ticket",
            f"rewind.path={folder}/level_01",
            "rewind.to=0it",
            "schedule.densities=[0.5,0.4]",
        )
        again = zoo(net, RUN[0], RUN[1], *ticket, "levels=2")
        first, second = (finished(again, index, "", "test") for index in (1, 2))
        check_level(first)
        total = masks.total(second.run.dense)
        assert all(torch.equal(first.mask[n], keep) for n, keep in level.mask.items())
        assert masks.kept(second.mask) == round(0.4 * total)
        assert not any((second.mask[n] & ~keep).any() for n, keep in level.mask.items())

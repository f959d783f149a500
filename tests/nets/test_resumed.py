"""Every net that users bring ends with the same bits, wherever its training was cut off."""

import shutil

import pytest
import torch
import zoo as nets

from lottery.experiment.recorded_run import finished
from lottery.progress.bars import Progress

RUN = ("prune=imp", "levels=1", "checkpoint_every=1it")
CUTS = (7, 17)  # updates that a process makes: 12 a level
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


class Cut(BaseException):
    """The process is gone."""


def cut_after(monkeypatch, updates):
    left = [updates]
    advance = Progress.advance

    def counted(watch):
        advance(watch)
        left[0] -= 1
        if not left[0]:
            raise Cut

    monkeypatch.setattr(Progress, "advance", counted)


@pytest.mark.parametrize(
    "net",
    [
        "spectral_conv",
        *(pytest.param(n, marks=pytest.mark.slow) for n in nets.NETS if n != "compiled"),
    ],
)
def test_a_net_goes_on_with_the_same_bits(net, zoo, monkeypatch):
    folder = zoo(net, *RUN)
    wanted = [finished(folder, index, "", "test").end.weights for index in (0, 1)]
    shutil.rmtree(zoo.outputs)
    for updates in CUTS:
        with monkeypatch.context() as patch:
            cut_after(patch, updates)
            with pytest.raises(Cut):
                zoo(net, *RUN)
    zoo(net, *RUN)
    for index, weights in enumerate(wanted):
        found = finished(folder, index, "", "test").end.weights
        assert all(torch.equal(found[n], w) for n, w in weights.items()), index

"""Every net that users bring ends with the same bits, wherever its training was cut off."""

import shutil

import pytest
import torch
import zoo as nets

from lottery.experiment.recorded_run import finished

RUN = ("prune=imp", "levels=1", "checkpoint_every=1it")
CUTS = (7, 17)  # updates that a process makes: 12 a level
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


@pytest.mark.parametrize(
    "net",
    [
        "spectral_conv",
        *(pytest.param(n, marks=pytest.mark.slow) for n in nets.NETS if n != "compiled"),
    ],
)
def test_a_net_goes_on_with_the_same_bits(net, zoo, cut):
    folder = zoo(net, *RUN)
    wanted = [finished(folder, index, "", "test").end.weights for index in (0, 1)]
    shutil.rmtree(zoo.outputs)
    for updates in CUTS:
        cut(updates, zoo, net, *RUN)
    zoo(net, *RUN)
    for index, weights in enumerate(wanted):
        found = finished(folder, index, "", "test").end.weights
        assert all(torch.equal(found[n], w) for n, w in weights.items()), index

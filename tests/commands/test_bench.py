"""lottery bench: sizes and counts by hand, latency by its labels, and what it cannot measure."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lottery.experiment.sizes import with_bitmask, with_csr
from lottery.nets import latency, twofour


@pytest.fixture
def bench(lottery, capsys):
    """Return what `lottery bench` says, as JSON."""

    def call(*words):
        capsys.readouterr()
        assert lottery("bench", *words, "repeats=3", "warm=1", "threads=1", "format=json") == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.mark.slow
def test_an_unstructured_level(run, bench):
    """64 of 80 weights: 51 of 64 and 13 of 16, or whatever the scores say, and 8 biases."""
    folder = run("levels=1", "prune/allocation=uniform")
    said = bench(folder, "level=1")
    assert (said["kept"], said["total"], said["level"]) == (64, 80, 1)
    sizes = said["size"]
    assert sizes["dense"] == {"bytes": 88 * 4, "how": "computed"}
    assert sizes["values and bitmask"]["bytes"] == 64 * 4 + 8 + 2 + 8 * 4
    assert sizes["values in CSR"]["bytes"] == 64 * 8 + 5 * 4 + 5 * 4 + 8 * 4
    file = folder / "level_01" / "ticket.safetensors"
    assert sizes["ticket.safetensors"] == {"bytes": file.stat().st_size, "how": "file"}
    assert said["macs"] == {"how": "theoretical", "dense": 80, "kept": 64, "speedup": {"kept": 1.25}}
    forms = said["latency"]["forms"]
    assert said["latency"]["how"] == "measured"
    assert {"device", "threads", "torch", "batch", "warm", "repeats"} <= said["latency"].keys()
    assert forms["dense"]["ratio"] == 1
    assert 0 < forms["masked"]["low"] <= forms["masked"]["median"] <= forms["masked"]["high"]
    assert "removes no channel whole" in forms["compacted"]["not_measured"]
    assert said["compacted"] is None


def test_a_level_of_whole_channels_is_measured_compacted(run, bench):
    folder = run("levels=1", "prune/structure=channel", "model.hidden=[8]", "schedule.keep=0.5")
    said = bench(folder, "level=1", "batch=3")
    hidden = said["kept"] // 20  # 16 inputs and 4 outputs a hidden unit
    assert 0 < hidden < 8
    assert said["macs"]["compacted"] == said["macs"]["kept"] == 20 * hidden
    assert said["latency"]["forms"]["compacted"]["median"] > 0
    assert said["latency"]["batch"] == 3
    assert said["compacted"]["difference"] < 1e-5
    smaller = said["size"]["compacted"]["bytes"] - 4 * (20 * hidden + hidden + 4)
    assert 0 < smaller < 1000  # the head of the file


def test_a_branch_and_held_weights(run, bench):
    folder = run("levels=1", "branch=hold", "prune/structure=channel", "model.hidden=[8]")
    said = bench(folder, "level=1", "branch=hold")
    assert said["branch"] == "hold"
    assert said["macs"]["kept"] == said["macs"]["dense"]
    assert "are not 0" in said["latency"]["forms"]["compacted"]["not_measured"]


@pytest.fixture
def folder(once, run, capsys, tmp_path):
    """Return a finished run of one pruned level; made once, then copied."""
    once("to bench", lambda: run("levels=1"))
    capsys.readouterr()
    (found,) = tmp_path.glob("outputs/*/*/replicate_0")
    return found


def test_the_text(folder, lottery, capsys):
    assert lottery("bench", folder, "level=1", "repeats=2", "warm=0") == 0
    out = capsys.readouterr().out
    for text in ("64 of 80 weights", "values and bitmask", "theoretical", "1.25x", "measured", "middle 90 %"):
        assert text in out
    assert "compacted: not measured, since the mask removes no channel whole" in out
    if not torch.cuda.is_available():
        assert "2:4: not measured, since its kernels need an NVIDIA GPU, and this is cpu" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["level=9"], "no finished level 9"),
        ([], "name one run and a level"),
        (["level=1", "batch=0"], "batch=0 is no number from 1 on"),
        (["level=1", "repeats=one"], "repeats=one is no number from 2 on"),
        (["level=1", "format=jsno"], "format=jsno is none of table, json; did you mean 'json'?"),
        (["level=1", "device=abacus"], "'abacus' cannot be used here"),
        (["level=1", "bath=3"], "no option 'bath=3'"),
    ],
)
def test_bad_input_is_one_line(folder, lottery, capsys, words, said):
    assert lottery("bench", folder, *words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_sizes_of_four_weights():
    state = {"a.weight": torch.ones(2, 2), "a.bias": torch.ones(2)}
    mask = {"a.weight": torch.tensor([[True, False], [False, True]])}
    assert with_bitmask(state, mask) == 2 * 4 + 1 + 8
    assert with_csr(state, mask) == 2 * (4 + 4) + 3 * 4 + 8


def test_ratios_are_those_of_the_same_repeat():
    found = latency.summary([2.0, 4.0, 9.0], [1.0, 2.0, 3.0])
    assert (found.median, found.ratio) == (4.0, 2.0)
    assert (found.low, found.ratio_high) == (pytest.approx(2.2), pytest.approx(2.9))


def test_every_form_is_called_in_every_repeat():
    called = []

    class Net(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def forward(self, x):
            called.append(self.name)
            return x

    names = ("a", "b", "c")
    found = latency.measure({n: Net(n) for n in names}, dict.fromkeys(names, torch.zeros(1)), 1, 4)
    assert set(found) == set(names)
    order = [n for n, before in zip(called, [None, *called], strict=False) if n != before]
    assert order[3:9] == ["a", "b", "c", "b", "c", "a"]  # after finding how often: the first repeats


def test_where_2_4_kernels_would_fit():
    weight = torch.ones(32, 64)
    assert not twofour.fits(weight)
    weight[:, ::2] = 0
    assert twofour.fits(weight)
    assert not twofour.fits(weight[:31])
    assert not twofour.fits(weight[:, :60])
    weight[0, 0] = 1
    assert not twofour.fits(weight)


def test_without_a_gpu_2_4_says_why():
    net = nn.Linear(64, 32)
    assert "need an NVIDIA GPU" in twofour.two_four(net)
    old = SimpleNamespace(parameters=lambda: iter([SimpleNamespace(device=torch.device("cuda"))]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
        patch.setattr(torch.cuda, "get_device_name", lambda device: "an old GPU")
        assert twofour.two_four(old) == "an old GPU has no sparse tensor cores"


@pytest.mark.gpu
def test_2_4_layers_compute_the_same():
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5)).cuda()
    with torch.no_grad():
        net[0].weight[:, ::2] = 0
    sparse = twofour.two_four(net)
    x = torch.randn(16, 64, device="cuda").half()
    with torch.no_grad():
        assert torch.allclose(sparse(x), net.half()(x), atol=1e-2)

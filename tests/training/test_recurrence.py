"""Effective weights of recurrent layers: every path through a net, step by step, by hand."""

from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from lottery.components.models.lstm_lm import lstm_lm
from lottery.tasks.images.outline import Outline
from lottery.tasks.text.language import language
from lottery.terms import mask as masks
from lottery.terms.trees import tensors
from lottery.training import monitor

STEPS, INPUTS, UNITS, OUTPUTS = 4, 2, 3, 2
TASK = Outline({}, "", input_shape=(STEPS, INPUTS), outputs=OUTPUTS, fingerprint="")
KINDS = {"lstm": (nn.LSTM, 4), "gru": (nn.GRU, 3), "rnn": (nn.RNN, 1)}


class Reads(nn.Module):
    """A recurrent layer of which only the last step is read."""

    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(INPUTS, UNITS, batch_first=True)
        self.fc = nn.Linear(UNITS, OUTPUTS)

    def forward(self, x):
        return self.fc(self.rnn(x)[0][:, -1])


def by_hand(mask, gates, carries):
    """Return the effective weights, by what each unit hears and where it is heard, step by step."""
    into, across = (mask[f"rnn.weight_{n}_l0"].view(gates, UNITS, -1) for n in ("ih", "hh"))
    out = mask["fc.weight"]
    every = list(product(range(STEPS), range(UNITS)))
    hears, heard = {}, {}
    for t, j in every:
        hears[t, j] = bool(into[:, j].any()) or any(
            hears[t - 1, i] and (bool(across[:, j, i].any()) or carries and i == j) for i in range(UNITS) if t
        )
    for t, i in reversed(every):
        heard[t, i] = bool(out[:, i].any()) if t == STEPS - 1 else any(
            heard[t + 1, j] and (bool(across[:, j, i].any()) or carries and i == j) for j in range(UNITS)
        )  # fmt: skip
    live = {name: torch.zeros_like(keep) for name, keep in mask.items()}
    for g, j, d in product(range(gates), range(UNITS), range(INPUTS)):
        live["rnn.weight_ih_l0"].view(gates, UNITS, -1)[g, j, d] = into[g, j, d] and any(heard[t, j] for t in range(STEPS))
    for g, j, i in product(range(gates), range(UNITS), range(UNITS)):
        passes = any(hears[t - 1, i] and heard[t, j] for t in range(1, STEPS))
        live["rnn.weight_hh_l0"].view(gates, UNITS, -1)[g, j, i] = across[g, j, i] and passes
    for k, j in product(range(OUTPUTS), range(UNITS)):
        live["fc.weight"][k, j] = out[k, j] and hears[STEPS - 1, j]
    return live


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_every_path_through_time(kind):
    make, gates = KINDS[kind]
    net, fewer = Reads(make), 0
    for seed in range(15):
        draw = torch.Generator().manual_seed(seed)
        mask = {n: torch.rand(m.shape, generator=draw) < 0.12 + 0.2 * (gates == 1) for n, m in masks.dense(net).items()}
        found, expected = monitor.effective(net, TASK, mask), by_hand(mask, gates, kind != "rnn")
        assert all(torch.equal(found[name], expected[name]) for name in mask), seed
        fewer += sum(int(mask[n].sum() - expected[n].sum()) for n in mask)
    assert fewer > 30  # else nothing was asked of it


@pytest.mark.parametrize("net", [
    nn.LSTM(INPUTS, UNITS, 2, bidirectional=True, batch_first=True), nn.GRU(INPUTS, UNITS, 2, bidirectional=True),
    nn.LSTM(INPUTS, UNITS, bias=False), nn.RNN(INPUTS, UNITS, 2, nonlinearity="relu"),
])  # fmt: skip
def test_what_comes_out_has_the_shapes_of_torch(net):
    for x in (torch.ones(5, 3, INPUTS), torch.ones(5, INPUTS)):
        whole = net(x)
        with monitor.Open():
            found = net(x)
        assert [t.shape for t in tensors(found)] == [t.shape for t in tensors(whole)]
        assert all(float(t.detach().min()) >= 0 and float(t.detach().max()) <= 1 for t in tensors(found))
    with monitor.Open():  # packed sequences go as they are
        net(pack_padded_sequence(torch.ones(4, 4, INPUTS), [4, 3, 2, 2]))


@pytest.mark.parametrize("tied", ["yes", "no"])
def test_a_wide_language_model_is_wholly_effective_when_dense(tied):
    """In float64 a gate that sees a hundred ones is 1, and has no slope any more."""
    text = {name: ["a b c d e f g"] * 9 for name in ("train", "val", "test")}
    task = language(text, tokens="blanks", lowercase=False, min_count=1, bptt=6, shift=True)
    net = lstm_lm(task, embedding=150, hidden=150, layers=2, dropout=0.5, tied=tied)
    whole = masks.dense(net)
    found = monitor.effective(net, task, whole)
    assert all(torch.equal(found[name], whole[name]) for name in whole)
    cut = {name: keep & ("lstm.0" not in name) for name, keep in whole.items()}
    assert not any(live.any() for live in monitor.effective(net, task, cut).values())
    asked = masks.dense(net, ["*", "embedding"])  # a signal passes an embedding by
    assert (monitor.effective(net, task, asked)["embedding.weight"] is None) == (tied == "no")

"""Nets as users bring them, on their way out and in: bench, exports, load_ticket, import, other classes."""

import json
import re

import pytest
import torch
import zoo as nets
from safetensors.torch import load_file
from torch.nn.utils import prune

import lottery
from lottery.errors import UsageError
from lottery.exchange import tickets
from lottery.experiment.recorded_run import finished
from lottery.terms import mask as masks
from lottery.training.start import build

RUN = ("prune=imp", "levels=1", "schedule.keep=0.5", "rewind=step", "rewind.to=2it")
FORMS = {
    "ticket": ".safetensors", "safetensors": ".safetensors", "dense": ".safetensors", "onnx": ".onnx",
    "torch": ".pt2", "folder": "",
}  # fmt: skip
BY_DEFAULT = ("ticket start", "safetensors end", "dense end")  # of a net with tied layers
SLOWLY = {
    "tied_layers": ("torch start", "onnx end"),
    "lstm_projected": ("onnx end", "torch end", "ticket start"),
    "half": ("onnx end", "torch start", "dense end"),
    "recording": ("onnx start", "dense start", "folder start"),
    "inference": ("onnx end", "dense end", "torch end"),
    "torch_encoder": ("torch end", "ticket end", "onnx start"),
    "tied_embedding": ("safetensors end", "onnx start", "folder end", "dense end"),
    "double": ("onnx end", "safetensors start"),
    "tuple_out": ("torch end", "onnx end", "folder start", "dense end"),
    "dict_out": ("onnx start", "folder end", "torch start", "ticket end"),
}
# The forms that a net does not take; all others it takes. Where channels cannot be followed there is
# no smaller net; a program follows no choice by value, no TorchScript, and no module called `code`.
UNFOLLOWED = """tied_embedding autoencoder lstm lstm_projected gru rnn_bidirectional gru_cell
    attention_by_hand standardised weight_norm spectral_norm symmetric old_weight_norm bare
    branching transposed grouped group_norm low_rank spectral_conv scripted_part narrow""".split()
NO_PROGRAM = ("autoencoder", "branching", "scripted_part")
NO_ONNX = (*NO_PROGRAM, "lstm_projected", "half")
REFUSED = {
    "dense": UNFOLLOWED, "torch": NO_PROGRAM, "folder": NO_PROGRAM, "onnx": NO_ONNX, "ticket": (),
    "safetensors": (),
}  # fmt: skip
OTHERS = ("ticket start", "safetensors end", "dense end", "folder end")


def check_pruned(tensors, mask, names):
    """Each pruned weight is 0 under every name that the tensors have of it."""
    for name, keep in mask.items():
        for each in names.get(name, (name,)):
            if each in tensors and tensors[each].shape == keep.shape:
                assert not tensors[each][~keep].any(), each


@pytest.fixture
def call(zoo, capsys):
    """Call a command, which ends well or says in one line why it cannot be; return code and text."""

    def call(*words):
        capsys.readouterr()
        code = zoo.lottery(*words)
        out, err = capsys.readouterr()
        assert code in (0, 2), (words, err)
        if code:
            assert err.startswith("lottery: ") and err.count("\n") == 1, (words, err)
            ours = re.sub(r"\(\S+, line \d+, in \w+: \w+\)", "", err)  # where in the net it comes from
            assert not re.search(r"\bRuntimeError|Traceback|a bug in lottery", ours), (words, err)
        return code, out, err

    return call


def travel(net, forms, zoo, call, tmp_path):
    """Send a level out in some forms, and in again, and look at every pruned weight."""
    folder = zoo(net, *RUN)
    level = finished(folder, 1, "", "test")
    names, mask = level.run.names, level.mask
    assert masks.kept(mask) == round(0.5 * masks.total(level.run.dense))
    check_pruned(level.ticket.weights, mask, names)
    code, out, _ = call("bench", folder, "level=1", "repeats=2", "warm=0", "format=json")
    assert code == 0
    assert json.loads(out)["latency"]["forms"]["masked"].get("median", 0) > 0
    assert call("compact", folder, "level=1")[0] == (2 if net in UNFOLLOWED else 0)
    for form, part in (each.split() for each in forms):
        target = tmp_path / f"{form}_{part}{FORMS[form]}"
        code, out, err = call("export", folder, "level=1", f"as={form}", f"weights={part}", f"to={target}")
        assert code == (2 if net in REFUSED[form] else 0), (form, err)
        if code:
            assert not target.exists()
            continue
        weights = level.end.weights if part == "end" else level.ticket.weights
        if form in ("ticket", "safetensors", "folder"):
            tensors = load_file(target / "model.safetensors" if form == "folder" else target)
            check_pruned(tensors, mask, names)
            assert all(torch.equal(tensors[n], w) and tensors[n].dtype == w.dtype for n, w in weights.items())
            for order in (False, True):
                own = build(level.run.parts, level.run.task, 9)
                found = lottery.load_ticket(own, target, by_order=order)
                assert found.keys() == mask.keys()
                assert all(torch.equal(found[n], keep) for n, keep in mask.items())
                assert all(torch.equal(w, weights[n]) for n, w in own.state_dict().items())
                lottery.keep_masked(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))]), own, found)
        elif form == "torch":
            check_pruned(dict(torch.export.load(target).state_dict), mask, names)
    return level


def test_out_and_in(zoo, call, tmp_path):
    travel("tied_layers", BY_DEFAULT, zoo, call, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("net", nets.NETS)
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # torch's own
def test_every_net_out_and_in(net, zoo, call, tmp_path):
    travel(net, SLOWLY.get(net, OTHERS), zoo, call, tmp_path)


@pytest.mark.parametrize("net", [
    "tied_embedding", *(pytest.param(net, marks=pytest.mark.slow) for net in ("head_first", "head_first_conv", "two_heads", "conv_head", "lstm"))
])  # fmt: skip
def test_with_other_classes_the_head_alone_is_fresh(net, zoo, call, tmp_path):
    """Found by what grows with the number of classes, wherever it stands in the code."""
    folder = zoo(net, *RUN)
    first = finished(folder, 1, "", "test")
    words = zoo.words(net, *RUN[:2], "dataset.classes=3", "rewind=ticket", f"rewind.path={folder}/level_01", "name=other")
    assert call("run", *words)[0] == 0
    (other,) = tmp_path.glob("outputs/other/*/replicate_0")
    level = finished(other, 1, "", "test")
    for name, weight in level.ticket.weights.items():
        there = first.ticket.weights[name]
        if there.shape == weight.shape:
            assert torch.equal(there, weight), name
        else:
            assert torch.equal(level.run.initial.weights[name], weight), name
            assert name not in level.mask or level.mask[name].all()


def pruned_by_torch(net, same):
    """Prune a net with torch; tied weights by one mask where they are to stay one tensor."""
    draw = torch.Generator().manual_seed(0)
    drawn = {}
    for module in net.modules():
        if isinstance(module, masks_of_torch):
            key = id(module.weight) if same else id(module)
            keep = drawn.setdefault(key, torch.rand(module.weight.shape, generator=draw) > 0.5)
            drawn[id(module)] = (module, keep)
    for module, keep in (pair for pair in drawn.values() if isinstance(pair, tuple)):
        prune.custom_from_mask(module, "weight", keep)
    return net


masks_of_torch = (torch.nn.Linear, torch.nn.Conv2d)


@pytest.mark.slow
def test_masks_of_torch_on_tied_weights(zoo, call, tmp_path):
    """One mask under both names is one mask; two are refused, since the model has one tensor."""
    folder = zoo("tied_layers", *RUN)
    level = finished(folder, 0, "", "test")
    words = [word for word in zoo.words("tied_layers") if not word.startswith(("host", "levels", "train"))]
    for same in (True, False):
        net = pruned_by_torch(build(level.run.parts, level.run.task), same)
        torch.save(net.state_dict(), "theirs.pth")
        code, _, err = call("import", "theirs.pth", f"to={same}.safetensors", *words)
        assert code == (0 if same else 2)
        if not same:
            assert "a.weight and b.weight are one tensor in this model, and two there" in err
            continue
        tensors = load_file("True.safetensors")
        kept = int(net.get_buffer("a.weight_mask").sum())
        assert int(tensors["mask/a.weight"].sum()) == kept
        assert "mask/b.weight" not in tensors
        assert torch.equal(tensors["a.weight"], tensors["b.weight"])
        assert call("run", *zoo.words("tied_layers", "levels=1", "rewind=ticket", "rewind.path=True.safetensors"))[0] == 0


class Untied(torch.nn.Module):
    """The net of the zoo, its two layers with a weight each, under other names."""

    def __init__(self):
        super().__init__()
        self.start = torch.nn.Linear(16, 8)
        self.x, self.y = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.end = torch.nn.Linear(8, 4)


def test_a_ticket_of_tied_weights_in_nets_that_are_not(zoo, call, tmp_path):
    """The mask is that of both; a tied net of one's own takes no two values."""
    folder = zoo("tied_layers", *RUN)
    assert call("export", folder, "level=1", "as=ticket", "to=t.safetensors")[0] == 0
    net = Untied()
    mask = lottery.load_ticket(net, "t.safetensors", by_order=True)
    assert list(mask) == ["start.weight", "x.weight", "y.weight", "end.weight"]
    assert torch.equal(mask["x.weight"], mask["y.weight"])
    check_pruned(net.state_dict(), mask, {})
    lottery.keep_masked(torch.optim.SGD(net.parameters(), lr=0.1), net, mask)
    one, other = Untied(), Untied()
    other.y.weight = other.x.weight
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    tensors = load_file("t.safetensors")
    ticket = tickets.unpack((tmp_path / "t.safetensors").read_bytes(), "t")
    odd = tickets.Portable(ticket.weights | {"b.weight": ticket.weights["b.weight"] * 2}, ticket.mask, ticket.about)
    (tmp_path / "odd.safetensors").write_bytes(tickets.pack(odd))
    with pytest.raises(Exception, match="x.weight and y.weight are one tensor in this model, and two there"):
        lottery.load_ticket(other, "odd.safetensors", by_order=True)
    assert all(torch.equal(t, before[n]) for n, t in other.state_dict().items())
    assert torch.equal(tensors["a.weight"], tensors["b.weight"])
    with pytest.warns(UserWarning, match="nothing but their order tells x.weight, y.weight apart"):
        found = lottery.load_ticket(one, "odd.safetensors", by_order=True)
    assert found.keys() == {"start.weight", "x.weight", "end.weight"}


def test_a_lazy_net_of_ones_own_is_called_first(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(4, 3))
    mask = {"0.weight": torch.ones(3, 4, dtype=torch.bool)}
    ticket = tickets.Portable(net.state_dict(), mask, tickets.described(mask, "start"))
    (tmp_path / "t.safetensors").write_bytes(tickets.pack(ticket))
    lazy = torch.nn.Sequential(torch.nn.LazyLinear(3))
    with pytest.raises(UsageError, match="of a lazy layer has no shape yet; call the model once"):
        lottery.load_ticket(lazy, tmp_path / "t.safetensors")
    lazy(torch.zeros(1, 4))
    lottery.load_ticket(lazy, tmp_path / "t.safetensors")
    assert torch.equal(lazy[0].weight, net[0].weight)

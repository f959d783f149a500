"""Imports: masks and weights of other tools, matched, checked, never run."""

import importlib
import io
import math
import os
import zipfile
from collections import OrderedDict

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import prune

from lottery.config import build
from lottery.errors import UsageError
from lottery.exchange import foreign, matching, placing, tickets
from lottery.experiment.recorded_run import finished
from lottery.tasks.images.outline import Outline

torch.set_num_threads(1)

DATA = [
    "dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", "dataset.validation=12",
    "dataset.classes=4", "dataset.channels=1", "dataset.size=4", "dataset.mean=[0.5]", "dataset.std=[0.25]",
]  # fmt: skip
MODEL = ["model=lenet_300_100", "model.hidden=[4]", *DATA]


class Theirs(nn.Module):
    """The same net as ours, of other names."""

    def __init__(self, hidden=4):
        super().__init__()
        self.fc_layers = nn.ModuleList([nn.Linear(16, hidden)])
        self.fc = nn.Linear(hidden, 4)


def net(seed=0, **options):
    torch.manual_seed(seed)
    return Theirs(**options)


def masks_for(model, share=0.5):
    """Return a mask of each weight that keeps the first entries."""
    found = {}
    for name, p in model.named_parameters():
        if p.dim() > 1:
            keep = torch.zeros(p.numel(), dtype=torch.int)
            keep[: int(share * p.numel())] = 1
            found[name] = keep.view_as(p)
    return found


def masked(model, masks):
    """Return the state_dict with the pruned weights 0."""
    return {n: v * masks[n] if n in masks else v.clone() for n, v in model.state_dict().items()}


def read(path):
    return tickets.unpack(path.read_bytes(), path)


def check(ticket, weights, masks, names=()):
    """Compare a ticket with weights and masks by their names, or pairs of ours and theirs."""
    names = dict(names) or {n: n for n in weights}
    assert list(ticket.weights) == list(names)
    for ours, theirs in names.items():
        assert torch.equal(ticket.weights[ours], weights[theirs])
    assert {n for n, theirs in names.items() if theirs in masks} == ticket.mask.keys()
    assert all(torch.equal(m, masks[names[n]] == 1) for n, m in ticket.mask.items())


OURS = {
    "layers.0.weight": "fc_layers.0.weight", "layers.0.bias": "fc_layers.0.bias",
    "fc.weight": "fc.weight", "fc.bias": "fc.bias",
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_what_torch_prunes(lottery, tmp_path, capsys, suffix):
    model = net()
    prune.l1_unstructured(model.fc_layers[0], "weight", amount=0.5)
    prune.l1_unstructured(model.fc, "weight", amount=3)
    state = model.state_dict()
    assert int((state["fc.weight_orig"] != 0).sum()) == 16  # the pruned ones are still there
    torch.save(state, tmp_path / f"net{suffix}")
    assert lottery("import", f"net{suffix}", "to=t.safetensors") == 0
    said = capsys.readouterr().out
    assert "35 pruned weights were not 0 and are now" in said
    assert "45 of 80 weights kept" in said
    ticket = read(tmp_path / "t.safetensors")
    expected = {"fc.weight": model.fc.weight, "fc_layers.0.weight": model.fc_layers[0].weight}
    for name, weight in expected.items():
        assert torch.equal(ticket.weights[name], weight.detach())
        assert torch.equal(ticket.mask[name], state[f"{name}_mask"] == 1)
    assert ticket.weights.keys() == net().state_dict().keys()
    assert ticket.about["source"]["kind"] == "torch.nn.utils.prune"
    assert ticket.about["weights"] == "start"


def test_a_pruned_bias_is_refused_and_one_that_keeps_all_is_left_out(lottery, tmp_path, capsys):
    model = net()
    prune.identity(model.fc, "weight")
    prune.identity(model.fc, "bias")
    torch.save(model.state_dict(), tmp_path / "all.pt")
    assert lottery("import", "all.pt", "to=all.safetensors") == 0
    assert read(tmp_path / "all.safetensors").mask.keys() == {"fc.weight"}
    prune.l1_unstructured(model.fc, "bias", amount=1)
    torch.save(model.state_dict(), tmp_path / "net.pt")
    assert lottery("import", "net.pt", "to=t.safetensors") == 2
    assert "the mask of fc.bias prunes what is no weight of a layer" in capsys.readouterr().err


def test_safetensors_with_masks_beside(lottery, tmp_path):
    model = net()
    masks = masks_for(model)
    save_file(masked(model, masks) | {f"mask/{n}": m for n, m in masks.items()}, tmp_path / "n.safetensors")
    assert lottery("import", "n.safetensors", "to=t.safetensors", "weights=end") == 0
    ticket = read(tmp_path / "t.safetensors")
    check(ticket, masked(model, masks), masks, {n: n for n in ticket.weights})
    assert ticket.weights.keys() == model.state_dict().keys()
    assert ticket.about["weights"] == "end"


@pytest.mark.parametrize("name", ["masks.safetensors", "masks.pth"])
@pytest.mark.parametrize("spelling", ["{}", "mask/{}", "{}_mask"])
def test_masks_in_a_file_of_their_own(lottery, tmp_path, name, spelling):
    model = net()
    masks = masks_for(model)
    torch.save(OrderedDict(model.state_dict()), tmp_path / "n.pth")
    named = {spelling.format(n): m for n, m in masks.items()}
    save_file(named, tmp_path / name) if name.endswith("safetensors") else torch.save(named, tmp_path / name)
    assert lottery("import", "n.pth", f"masks={name}", "to=t.safetensors") == 0
    check(read(tmp_path / "t.safetensors"), masked(model, masks), masks)


def test_two_files_of_one_name_are_both_known(lottery, tmp_path):
    for folder in ("weights", "masks"):
        (tmp_path / folder).mkdir()
    torch.save({"a.weight": torch.ones(2, 2)}, tmp_path / "weights" / "n.pt")
    torch.save({"a.weight": torch.eye(2)}, tmp_path / "masks" / "n.pt")
    assert lottery("import", "weights/n.pt", "masks=masks/n.pt", "to=t.safetensors") == 0
    files = read(tmp_path / "t.safetensors").about["source"]["files"]
    assert set(files) == {"weights/n.pt", "masks/n.pt"}
    assert len(set(files.values())) == 2


def test_zeros_as_masks(lottery, tmp_path, capsys):
    model = net()
    masks = masks_for(model)
    torch.save({"state_dict": masked(model, masks), "epoch": 3}, tmp_path / "n.ckpt")
    assert lottery("import", "n.ckpt", "to=t.safetensors") == 2
    assert "masks=zeros" in capsys.readouterr().err
    assert lottery("import", "n.ckpt", "masks=zeros", "to=t.safetensors") == 0
    assert "every weight of two axes, embeddings too: model=NAME" in capsys.readouterr().out
    check(read(tmp_path / "t.safetensors"), masked(model, masks), masks)


def test_its_overrides_may_be_words_of_other_tools(lottery, tmp_path, capsys):
    torch.save(masked(net(), masks_for(net())), "net.pth")
    ours = [*MODEL[2:], "arch=LeNet-300-100", "hidden=4"]
    assert lottery("import", "net.pth", "theirs.safetensors", "masks=zeros", *ours) == 0
    assert lottery("import", "net.pth", "to=ours.safetensors", "masks=zeros", *MODEL) == 0
    assert (tmp_path / "theirs.safetensors").read_bytes() == (tmp_path / "ours.safetensors").read_bytes()
    capsys.readouterr()
    assert lottery("import", "net.pth", "to=x.safetensors", "masks=zeros", *MODEL[:2], "sparsity=0.9") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "type: lottery import net.pth to=x.safetensors masks=zeros model=lenet_300_100" in said


def test_what_wrappers_put_before_names_goes(lottery, tmp_path):
    model = net()
    masks = masks_for(model)
    state = {f"module._orig_mod.{n}": v for n, v in model.state_dict().items()}
    torch.save(state | {f"module._orig_mod.mask/{n}": m for n, m in masks.items()}, tmp_path / "n.pt")
    assert lottery("import", "n.pt", "to=t.safetensors") == 0
    check(read(tmp_path / "t.safetensors"), masked(model, masks), masks)


@pytest.fixture
def openlth(tmp_path):
    """Write a level as OpenLTH does: pruning/mask.py, models/base.py and foundations/paths.py there."""
    start, end = net(0), net(1)
    masks = masks_for(start)
    level = tmp_path / "lottery_abc" / "replicate_1" / "level_3" / "main"
    level.mkdir(parents=True)
    torch.save({n: m.cpu().int() for n, m in masks.items()}, level / "mask.pth")
    for model, step in ((start, "ep0_it500"), (end, "ep160_it0")):
        torch.save(masked(model, masks), level / f"model_{step}.pth")
    (level / "sparsity_report.json").write_text('{"total": 80.0, "unpruned": 40.0}')
    (level / "logger").write_text("test_accuracy,0ep500it,0.1")
    return level, masked(start, masks), masked(end, masks), masks


@pytest.mark.parametrize("weights", ["start", "end"])
@pytest.mark.parametrize("deep", [True, False])
def test_a_level_of_openlth(lottery, openlth, tmp_path, weights, deep, capsys):
    level, start, end, masks = openlth
    place = level if deep else level.parent
    assert lottery("import", place, "to=t.safetensors", f"weights={weights}", *MODEL) == 0
    assert "names matched by shape: fc_layers.0 is layers.0" in capsys.readouterr().out
    ticket = read(tmp_path / "t.safetensors")
    check(ticket, start if weights == "start" else end, masks, OURS)
    about = ticket.about
    assert (about["density"], about["kept"], about["total"]) == (0.5, 40, 80)
    assert about["source"]["kind"] == "OpenLTH"
    assert about["model"]["hidden"] == [4]
    assert about["step"] == ("0ep500it" if weights == "start" else "160ep0it")


def test_another_folder_is_refused(lottery, openlth, tmp_path, capsys):
    level = openlth[0]
    for place in (level.parent.parent, tmp_path):
        assert lottery("import", place, "to=t.safetensors") == 2
        assert "name the folder of one level" in capsys.readouterr().err


def test_openlth_resnet_names_fit_ours():
    """Of a net with every kind of layer there, in the order there."""
    node = OmegaConf.to_container(OmegaConf.load(build.conf_dir() / "model" / "resnet20.yaml"))
    make = build.bind("model", node | {"depth": 8, "width": 4}, "model")
    own = make(Outline({}, "", input_shape=(3, 8, 8), outputs=10, fingerprint="")).state_dict()
    rename = {"shortcut.conv": "shortcut.0", "shortcut.bn": "shortcut.1"}
    foreign_names = {}
    for name, value in own.items():
        for ours, theirs in rename.items():
            name = name.replace(ours, theirs)
        foreign_names[name] = value
    pairs = matching.matched(foreign_names, own, True)
    assert pairs["blocks.1.shortcut.conv.weight"] == "blocks.1.shortcut.0.weight"
    assert pairs.keys() == own.keys()


def test_a_file_of_ours_keeps_what_it_says_of_itself(run, lottery, tmp_path, capsys):
    folder = run()
    assert lottery("export", folder, "level=2", "to=n.safetensors") == 0
    assert lottery("import", "n.safetensors", "to=t.safetensors", "weights=start") == 2
    assert "its weights are of the end" in capsys.readouterr().err
    assert lottery("import", "n.safetensors", "to=t.safetensors") == 0
    before, after = read(tmp_path / "n.safetensors"), read(tmp_path / "t.safetensors")
    for part in ("weights", "mask"):
        one, other = getattr(before, part), getattr(after, part)
        assert one.keys() == other.keys()
        assert all(torch.equal(v, other[n]) for n, v in one.items())
    assert {k: v for k, v in after.about.items() if k != "source"} == before.about
    assert lottery("export", folder, "level=2", "to=hub/") == 0
    assert lottery("import", "hub", "to=u.safetensors", "weights=end", *MODEL) == 0
    level = finished(folder, 2, "", "test")
    check(read(tmp_path / "u.safetensors"), {n: level.end.weights[n] for n in OURS}, {n: m.int() for n, m in level.mask.items()})


def test_layers_without_a_mask_are_dense_in_the_model(lottery, tmp_path):
    model = net()
    masks = {"fc.weight": masks_for(model)["fc.weight"]}
    torch.save(model.state_dict() | {f"mask/{n}": m for n, m in masks.items()}, tmp_path / "n.pt")
    assert lottery("import", "n.pt", "to=t.safetensors", *MODEL) == 0
    ticket = read(tmp_path / "t.safetensors")
    assert ticket.mask["layers.0.weight"].all()
    assert (ticket.about["kept"], ticket.about["total"]) == (72, 80)


def bad(change, **options):
    model = net(**options)
    masks = masks_for(model)
    state = dict(model.state_dict())
    change(state, masks)
    return state | {f"mask/{n}": m for n, m in masks.items()}


def put(which, name, value):
    return lambda state, masks: {"state": state, "masks": masks}[which].update({name: value})


def test_a_name_that_ends_with_orig_alone_is_a_name(lottery, tmp_path):
    """As spectral_norm has them; torch.nn.utils.prune has a _mask beside each."""
    own = {"conv.weight_orig": torch.ones(2, 2), "free_mask": torch.ones(2), "fc.bias": torch.ones(4)}
    theirs = {"fc.weight_orig": torch.ones(4, 4), "fc.weight_mask": torch.eye(4)}
    torch.save(own | theirs, tmp_path / "n.pt")
    assert lottery("import", "n.pt", "to=t.safetensors") == 0
    found = tickets.unpack((tmp_path / "t.safetensors").read_bytes(), "t")
    assert found.weights.keys() == own.keys() | {"fc.weight"}
    assert found.mask.keys() == {"fc.weight"}


@pytest.mark.parametrize(("change", "why"), [
    (put("masks", "fc.weight", torch.full((4, 4), 2)), "holds other numbers than 0 and 1"),
    (put("masks", "fc.weight", torch.full((4, 4), math.nan)), "holds other numbers than 0 and 1"),
    (put("masks", "fc.weight", torch.full((4, 4), 0.5)), "holds other numbers than 0 and 1"),
    (put("masks", "fc.weight", torch.ones(4, 5)), "the mask of fc.weight is float32 4x5, its weight float32 4x4"),
    (put("masks", "conv.weight", torch.ones(4, 5)), "a mask of conv.weight, and no weights of that name"),
    (put("state", "fc.weight", torch.full((4, 4), math.nan)), "is not finite"),
    (put("state", "fc.bias", torch.full((4,), math.inf)), "is not finite"),
    (lambda s, m: [m[n].zero_() for n in m], "keeps nothing"),
    (lambda s, m: m.clear(), "it has no mask"),
])  # fmt: skip
def test_what_is_wrong_is_one_line(lottery, tmp_path, capsys, change, why):
    torch.save(bad(change), tmp_path / "n.pt")
    assert lottery("import", "n.pt", "to=t.safetensors") == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert not (tmp_path / "t.safetensors").exists()


@pytest.mark.parametrize(("options", "overrides", "why"), [
    ({"hidden": 5}, MODEL, "fc_layers.0.weight (float32 5x16) stands where the model has layers.0.weight (float32 4x16)"),
    ({}, [*MODEL, "model.hidden=[4,4]"], "it does not fit this model"),
    ({}, [*MODEL, "dataset.classes=5"], "fc.weight (float32 4x4) stands where the model has fc.weight (float32 5x4)"),
    ({}, ["dataset=digits"], "says nothing without model="),
    ({}, ["model=resnet21"], "resnet21"),
    ({}, [*MODEL, "model.hiden=[4]"], "hidden"),
])  # fmt: skip
def test_a_model_that_does_not_fit_is_one_line(lottery, tmp_path, capsys, options, overrides, why):
    torch.save(bad(lambda *_: None, **options), tmp_path / "n.pt")
    assert lottery("import", "n.pt", "to=t.safetensors", *overrides) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert not (tmp_path / "t.safetensors").exists()


def test_names_that_are_mostly_shared_are_compared_by_name():
    own = {f"{i}.weight": torch.zeros(2, 2) for i in range(4)}
    with pytest.raises(UsageError, match=r"it lacks 3.weight; the model has no 3.w"):
        matching.matched({**{k: own[k] for k in list(own)[:3]}, "3.w": torch.zeros(2, 2)}, own, True)
    with pytest.raises(UsageError, match="2.weight is float32 3x2 there, float32 2x2 here"):
        matching.matched(own | {"2.weight": torch.zeros(3, 2)}, own, True)


def test_the_same_names_win_over_another_order():
    own = {"a.weight": torch.zeros(2, 2), "b.weight": torch.zeros(2, 2)}
    pairs = matching.matched(dict(reversed(own.items())), own, True)
    assert pairs == {"a.weight": "a.weight", "b.weight": "b.weight"}


def test_a_name_of_the_model_is_not_overruled_by_order():
    """l1 and l2 are alike and stand the other way round: by order they would be swapped."""
    own = {f"{n}.weight": torch.zeros(2, 2) for n in ("l1", "l2", "out")}
    there = {f"{n}.weight": torch.zeros(2, 2) for n in ("l2", "l1", "head")}
    with pytest.raises(UsageError, match=r"l2.weight would become l1.weight, and the file has a l1.weight of its own"):
        matching.matched(there, own, True)
    others = {"0.weight": torch.zeros(2, 3), "1.weight": torch.zeros(4, 2)}  # a Sequential with a ReLU
    theirs = {"0.weight": torch.zeros(2, 3), "2.weight": torch.zeros(4, 2)}
    assert matching.matched(theirs, others, True) == {"0.weight": "0.weight", "1.weight": "2.weight"}


@pytest.mark.parametrize("prefix", ["", "net."])
def test_the_counters_of_batchnorm_come_along(prefix):
    own = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).state_dict()
    there = {f"{prefix}{n}": torch.tensor(77) if n.endswith("tracked") else v for n, v in own.items()}
    pairs = matching.matched(there, own, True)
    weights, _ = matching.renamed(there, {}, pairs, own, {})
    assert weights["1.num_batches_tracked"] == 77
    del there[f"{prefix}1.num_batches_tracked"]
    weights, _ = matching.renamed(there, {}, matching.matched(there, own, True), own, {})
    assert weights["1.num_batches_tracked"] == 0


def test_zeros_count_in_the_layers_that_a_model_prunes(monkeypatch):
    """An embedding that is all 0 is no mask; one that keeps everything harms nothing."""
    own = {"token": torch.zeros(1, 4), "fc.weight": torch.tensor([[0.0, 1.0, 2.0, 0.0]])}
    dense = {"fc.weight": torch.ones(1, 4, dtype=torch.bool)}
    module = importlib.import_module("lottery.commands.import")
    monkeypatch.setattr(module, "asked", lambda words: {"weights": own, "dense": dense, "about": {}})
    found = foreign.Found(own, {}, {}, "state_dict", True, ())
    ticket, _ = module.fitted(found, {"masks": "zeros", "weights": ""}, ["model=x"])
    assert ticket.mask.keys() == {"fc.weight"}
    assert ticket.mask["fc.weight"].tolist() == [[False, True, True, False]]
    same = {n: n for n in own}
    whole = {"token": torch.ones(1, 4, dtype=torch.bool)}
    assert matching.renamed(own, whole, same, own, dense)[1]["fc.weight"].all()
    with pytest.raises(UsageError, match="this model has no weights to prune in token"):
        matching.renamed(own, {"token": ~whole["token"]}, same, own, dense)


def test_a_file_without_order_is_matched_where_no_two_are_alike(lottery, tmp_path, capsys):
    model = net()
    masks = masks_for(model)
    save_file(model.state_dict() | {f"mask/{n}": m for n, m in masks.items()}, tmp_path / "n.safetensors")
    assert lottery("import", "n.safetensors", "to=t.safetensors", *MODEL) == 2  # two biases of 4
    assert "does not keep the order" in capsys.readouterr().err
    state = model.state_dict()
    own = {ours: state[theirs] for ours, theirs in OURS.items() if ours != "fc.bias"}
    del state["fc.bias"]
    pairs = matching.matched(dict(sorted(state.items())), own, False)
    assert pairs == {n: OURS[n] for n in own}


@pytest.mark.parametrize(("words", "why"), [
    ([], "name a file or folder and to="),
    (["n.pt"], "name a file or folder and to="),
    (["n.pt", "to=n.onnx"], "ends with .safetensors; give one"),
    (["n.pt", "to=t.safetensors", "weights=middle"], "none of start, end"),
    (["gone", "to=t.safetensors"], "gone is not there"),
    (["n.npz", "to=t.safetensors"], "give a .safetensors file"),
    (["nowhere.pt", "to=t.safetensors"], "cannot be read"),
    (["n.pt", "to=old.safetensors"], "old.safetensors is there already, and nothing is replaced; give another to=PATH"),
    (["n.pt", "to=n.npz/t.safetensors"], "n.npz is no folder"),
    (["n.pt", "masks=nowhere.pt", "to=t.safetensors"], "cannot be read"),
    (["n.pt", "--force", "to=t.safetensors"], "there is no option"),
])  # fmt: skip
def test_a_bad_command_is_one_line(lottery, tmp_path, capsys, words, why):
    torch.save(bad(lambda *_: None), tmp_path / "n.pt")
    (tmp_path / "old.safetensors").write_text("precious")
    (tmp_path / "n.npz").touch()
    assert lottery("import", *words) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert (tmp_path / "old.safetensors").read_text() == "precious"


def test_a_ticket_that_has_come_meanwhile_is_not_replaced(lottery, tmp_path, monkeypatch, capsys):
    torch.save(bad(lambda *_: None), tmp_path / "n.pt")
    plain = placing.place

    def late(made, target, asked_by):
        target.write_text("of the other")
        plain(made, target, asked_by)

    monkeypatch.setattr(placing, "place", late)
    assert lottery("import", "n.pt", "to=t.safetensors") == 2
    assert "t.safetensors is there already" in capsys.readouterr().err
    assert (tmp_path / "t.safetensors").read_text() == "of the other"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.pt", "t.safetensors"]


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("new", [True, False])
def test_a_pickle_runs_nothing_and_the_refusal_is_final(lottery, tmp_path, capsys, new):
    torch.save({"fc.weight": Bomb(tmp_path / "canary")}, tmp_path / "n.pt", _use_new_zipfile_serialization=new)
    assert lottery("import", "n.pt", "to=t.safetensors") == 2
    said = capsys.readouterr().err
    assert "torch.load(weights_only=True) refuses n.pt (it holds posix.system)" in said
    assert "torch.save(net.state_dict(), FILE)" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "canary").exists()
    torch.load(tmp_path / "n.pt", weights_only=False)
    assert (tmp_path / "canary").exists()  # the payload does run where it is unpickled


def test_an_old_file_of_torch_is_read(lottery, tmp_path):
    """OpenLTH is of the time before zip archives."""
    torch.save(bad(lambda *_: None), tmp_path / "n.pt", _use_new_zipfile_serialization=False)
    assert lottery("import", "n.pt", "to=t.safetensors") == 0


def test_tensors_that_claim_more_than_the_file_holds(tmp_path, lottery, capsys):
    huge = torch.zeros(1).expand(10**6, 10**6)
    torch.save({"fc.weight": huge, "mask/fc.weight": huge}, tmp_path / "n.pt")
    assert lottery("import", "n.pt", "to=t.safetensors") == 2
    assert "is no plain tensor" in capsys.readouterr().err
    torch.save({"fc.weight": torch.eye(2).to_sparse()}, tmp_path / "s.pt")
    assert lottery("import", "s.pt", "to=t.safetensors") == 2
    assert "is no plain tensor" in capsys.readouterr().err


def test_a_compressed_archive_is_refused(tmp_path, lottery, capsys):
    torch.save({"fc.weight": torch.zeros(1000, 1000)}, tmp_path / "n.pt")
    with zipfile.ZipFile(tmp_path / "n.pt") as old, zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for each in old.infolist():
            new.writestr(each.filename, old.read(each))
    assert (tmp_path / "b.pt").stat().st_size < 20_000
    assert lottery("import", "b.pt", "to=t.safetensors") == 2
    assert "is compressed" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x02}", bytes(64), b"not a file of torch"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_nonsense_is_one_line(tmp_path, lottery, capsys, data, suffix):
    (tmp_path / f"n{suffix}").write_bytes(data)
    assert lottery("import", f"n{suffix}", "to=t.safetensors") == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("value", [[1, 2], 3, {"fc.weight": [1.0]}, {3: torch.zeros(1)}, {}])
def test_what_is_no_state_dict_is_refused(tmp_path, value):
    out = io.BytesIO()
    torch.save(value, out)
    with pytest.raises(UsageError, match="holds no state_dict|is no tensor by its name"):
        foreign.state_dict(out.getvalue(), tmp_path / "n.pt")


def test_a_pipe_is_refused(tmp_path, lottery, capsys):
    os.mkfifo(tmp_path / "n.pt")
    assert lottery("import", "n.pt", "to=t.safetensors") == 2
    assert "no plain file" in capsys.readouterr().err


def test_names_are_safe_to_print(tmp_path, lottery, capsys):
    torch.save({"fc\x1b[2J.weight": "text"}, tmp_path / "n.pt")
    assert lottery("import", "n.pt", "to=t.safetensors") == 2
    assert "\x1b" not in capsys.readouterr().err
    save_file({"mask/\x1b[2J": torch.ones(2, 2)}, tmp_path / "n.safetensors")
    assert lottery("import", "n.safetensors", "to=t.safetensors") == 2
    assert "\x1b" not in capsys.readouterr().err
    assert load_file(tmp_path / "n.safetensors")


def test_weights_that_torch_pruned_stand_behind_their_biases():
    """As in a Sequential whose layers went through torch.nn.utils.prune."""
    own = {"fc1.weight": torch.ones(3, 2), "fc1.bias": torch.ones(3), "fc2.weight": torch.ones(2, 3), "fc2.bias": torch.ones(2)}
    there = {f"{n}.{kind}": own[f"{layer}.{kind}"] for n, layer in ((1, "fc1"), (3, "fc2")) for kind in ("bias", "weight")}
    assert matching.matched(there, own, ordered=True) == {
        "fc1.weight": "1.weight", "fc1.bias": "1.bias", "fc2.weight": "3.weight", "fc2.bias": "3.bias",
    }  # fmt: skip

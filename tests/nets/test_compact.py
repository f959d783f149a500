"""Compaction: the smaller net computes the same, and is as small as the mask says."""

import copy
import importlib
import json

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file
from torch import nn

from lottery.config import build as config
from lottery.errors import UsageError
from lottery.nets.compact import compact, macs, shrink_
from lottery.tasks.images.outline import Outline
from lottery.terms import mask as masks
from lottery.terms import units

torch.set_num_threads(1)

NETS = {
    "resnet20": {"width": 4}, "vgg11_bn": {"width": 2}, "vgg11": {"width": 2},
    "densenet40": {"depth": 10, "growth": 4}, "mobilenet_v1": {"width": 0.25},
    "wrn16_8": {"depth": 10, "widen": 1}, "lenet_300_100": {"hidden": [30, 20]},
    "lenet5": {"padding": 2}, "conv2": {"hidden": [20]}, "resnet18": {"width": 4},
}  # fmt: skip
TASK = Outline({}, "", input_shape=(3, 8, 8), outputs=5, fingerprint="")


def build(choice, **changes):
    node = OmegaConf.to_container(OmegaConf.load(config.conf_dir() / "model" / f"{choice}.yaml"))
    node |= NETS[choice] | changes
    name = node.pop("name")
    torch.manual_seed(0)
    model = getattr(importlib.import_module(f"lottery.components.models.{name}"), name)(TASK, **node)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight, layer.bias, layer.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(layer.running_var, 0.5, 2)
        elif getattr(layer, "bias", None) is not None:
            nn.init.normal_(layer.bias)
    return model


def pruned(model, name, density, allocate="uniform", task=TASK, **node):
    """Prune the model in place; return its mask."""
    dense = masks.dense(model)
    scores = {n: w.detach().abs() for n, w in masks.prunable(model).items()}
    how = config.bind("structure", {"name": name, **node}, "here")
    allocation = config.bind("allocation", {"name": allocate}, "here")
    mask = units.allocate(how(model, task, scores, dense), allocation, density, dense)
    masks.apply_(model, mask)
    return mask


def difference(one, two):
    """Return the largest difference of outputs against the largest output, in evaluation mode."""
    images = torch.randn(4, *TASK.input_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        a, b = one.eval()(images), two.eval()(images)
    return float((a - b).abs().max() / a.abs().max())


@pytest.mark.parametrize("choice", NETS)
@pytest.mark.parametrize("density", [0.5, 0.1])
def test_the_smaller_net_computes_the_same_and_has_what_the_mask_keeps(choice, density):
    model = build(choice)
    mask = pruned(model, "channel", density, pool="mean", of="out")
    small = compact(model, mask, TASK)
    assert difference(model, small) < 1e-5
    weights = masks.prunable(small)
    assert sum(w.numel() for w in weights.values()) == masks.kept(mask)
    assert all(layer.out_channels == len(layer.weight) for layer in small.modules() if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("choice", ["lenet_300_100", "lenet5", "conv2"])
def test_neurons_are_cut_off(choice):
    model = build(choice)
    mask = pruned(model, "neuron", 0.7, pool="l1", combine="product")
    small = compact(model, mask, TASK)
    assert difference(model, small) < 1e-5
    assert sum(w.numel() for w in masks.prunable(small).values()) == masks.kept(mask)


def test_a_layer_that_loses_all_keeps_one_channel_of_zeros():
    model = build("resnet20")
    mask = masks.dense(model)
    inner = "blocks.1.conv1.weight"
    mask[inner][:] = False
    mask["blocks.1.conv2.weight"][:] = False
    masks.apply_(model, mask)
    small = compact(model, mask, TASK)
    assert dict(small.named_parameters())[inner].shape == (1, 4, 3, 3)
    assert difference(model, small) < 1e-5


def test_padded_shortcuts_leave_the_sums_as_they_are():
    model = build("resnet20", shortcut="identity")
    mask = pruned(model, "channel", 0.5, pool="mean", of="out")
    small = compact(model, mask, TASK)
    assert difference(model, small) < 1e-5
    assert small.conv.out_channels == 4
    assert small.blocks[0].conv1.out_channels < 4


def test_filters_alone_are_cut_off_only_where_nothing_reads_them():
    """The bias of a removed filter still counts, so it stays; with its readers pruned it goes."""
    model = build("conv2")
    mask = pruned(model, "filter", 0.5, pool="l1")
    small = compact(model, mask, TASK)
    assert difference(model, small) < 1e-5
    assert small.convs[0].out_channels == 64
    mask["convs.1.weight"][:, 3] = False
    masks.apply_(model, mask)
    small = compact(model, mask, TASK)
    assert difference(model, small) < 1e-5
    assert small.convs[0].out_channels == 63


def test_what_only_removed_channels_read_goes_too():
    """The only reader of the first layer's neuron is a neuron that nothing reads."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    mask = masks.dense(model)
    mask["2.weight"][:] = torch.eye(2, dtype=torch.bool)
    mask["4.weight"][0, 0] = False
    masks.apply_(model, mask)
    small = compact(model, mask, Outline({}, "", input_shape=(2,), outputs=1, fingerprint=""))
    assert [tuple(p.shape) for p in masks.prunable(small).values()] == [(1, 2), (1, 1), (1, 1)]
    x = torch.randn(5, 2)
    assert torch.allclose(model(x), small(x))


def test_the_model_itself_stays_and_a_mask_that_is_not_its_own_is_refused():
    model = build("lenet5")
    mask = pruned(copy.deepcopy(model), "channel", 0.5, pool="l1", of="out")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(UsageError, match="are not 0"):
        compact(model, mask, TASK)
    masks.apply_(model, mask)
    after = {k: v.clone() for k, v in model.state_dict().items()}
    compact(model, mask, TASK)
    assert all(torch.equal(v, after[k]) for k, v in model.state_dict().items())
    assert before.keys() == after.keys()
    assert model.training


def test_multiplications_are_counted():
    """A 3x3 convolution of 2 to 4 channels on 8x8, depthwise on it, and a linear layer of 4 to 5."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5),
    )  # fmt: skip
    expected = {"0.weight": 64 * 4 * 3 * 9, "1.weight": 16 * 4 * 9, "4.weight": 20}
    assert macs(model, TASK) == expected


def test_a_stored_net_is_read_back(tmp_path):
    from safetensors.torch import save_file

    model = build("mobilenet_v1")
    mask = pruned(model, "channel", 0.3, pool="mean", of="out")
    small = compact(model, mask, TASK)
    save_file({k: v.contiguous() for k, v in small.state_dict().items()}, tmp_path / "a")
    again = build("mobilenet_v1")
    shrink_(again, load_file(tmp_path / "a"))
    own, read = small.state_dict(), again.state_dict()
    assert own.keys() == read.keys()
    assert all(torch.equal(own[name], read[name]) for name in own)
    assert difference(small, again) < 1e-5  # kernels are chosen by how the memory is aligned


def test_the_command_writes_the_net_and_replaces_no_other(run, lottery, capsys, tmp_path):
    folder = run("prune/structure=neuron", "schedule=listed", "schedule.densities=[0.6,0.3]", "levels=2")
    capsys.readouterr()
    assert lottery("compact", folder, "level=1") == 0
    said = capsys.readouterr().out
    shapes = json.loads((folder / "compact_level_01" / "compact.json").read_text())
    tensors = load_file(folder / "compact_level_01" / "compact.safetensors")
    assert tensors["layers.0.weight"].shape[0] == shapes["layers"]["layers.0"]["weight"][0] < 4
    assert "fc" in said
    assert "largest difference of outputs" in said
    for _ in range(2):  # the same net again changes nothing
        assert lottery("compact", folder, "level=1", "to=small") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "small").iterdir()}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "compact.json").write_text("precious")
    capsys.readouterr()
    for place in ("small", "mine"):
        assert lottery("compact", folder, "level=2", f"to={place}") == 2
        assert f"compact: {place}/compact.json is there already" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "small").iterdir()} == before
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["precious"]
    assert lottery("compact", folder, "level=7") == 2
    assert lottery("compact", folder) == 2

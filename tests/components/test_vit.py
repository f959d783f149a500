"""The vision transformer: its arithmetic, its sizes, its perceptrons pruned and cut."""

import sys

import pytest
import torch
import torch.nn.functional as F

from lottery.components.models.timm import timm
from lottery.components.models.vit import vit
from lottery.config import build as config
from lottery.errors import UsageError
from lottery.nets import counting
from lottery.nets.compact import compact
from lottery.tasks.images.outline import Outline
from lottery.terms import mask as masks
from lottery.terms import units
from lottery.terms.prunable import bare

torch.set_num_threads(1)
TASK = Outline({}, "", input_shape=(1, 4, 6), outputs=3, fingerprint="")
SMALL = {"patch": 2, "width": 8, "depth": 2, "heads": 2, "ratio": 2.0, "dropout": 0.0, "init": "xavier_uniform"}


def small(**changes):
    torch.manual_seed(0)
    return vit(TASK, **SMALL | changes)


def test_a_vision_transformer_is_the_formula_of_its_parts():
    """Patches by hand; attention has a test of its own."""
    net, x = small(depth=1), torch.randn(2, 1, 4, 6)
    corners = [(i, j) for i in (0, 2) for j in (0, 2, 4)]
    tokens = [x[:, :, i : i + 2, j : j + 2].flatten(1) @ net.embed.weight.t() + net.embed.bias for i, j in corners]
    every = torch.stack([net.class_token[0].expand(2, 8), *tokens], 1) + net.positions
    (block,) = net.blocks
    every = every + block.attn(F.layer_norm(every, (8,)))
    every = every + block.down(F.gelu(block.up(F.layer_norm(every, (8,)))))
    torch.testing.assert_close(net(x), net.fc(F.layer_norm(every[:, 0], (8,))))


def test_matrices_are_pruned_each_and_what_is_no_matrix_is_named():
    net = small()
    block = ["attn.q", "attn.k", "attn.v", "attn.proj", "up", "down"]
    wanted = ["embed", *(f"blocks.{i}.{name}" for i in (0, 1) for name in block), "fc"]
    assert list(masks.prunable(net)) == [f"{name}.weight" for name in wanted]
    assert bare(net, masks.dense(net)) == {"class_token": 8, "positions": 56}
    bound = (6 / 16) ** 0.5  # Glorot's of each 8 x 8 matrix by itself, not of the three in one
    q = net.blocks[0].attn.q.weight.abs()
    assert 0.9 * bound < q.max() <= bound
    assert not net.blocks[0].attn.q.bias.any() and net.class_token.any()


def test_projections_are_counted_apart_from_the_products_of_tokens():
    """Seven tokens of 8 numbers; a block has 4 * 64 and 2 * 128 weights; queries by keys and weights by values."""
    found = counting.forward(small(), TASK)
    assert found.layers["embed.weight"] == 6 * 4 * 8
    assert found.layers["blocks.1.attn.q.weight"] == found.layers["blocks.0.attn.proj.weight"] == 7 * 64
    assert found.layers["blocks.0.up.weight"] == 7 * 128
    assert found.layers["fc.weight"] == 24
    assert found.rest == 2 * 2 * 7 * 7 * 8


@pytest.mark.parametrize("name", ["neuron", "channel"])
def test_hidden_units_of_its_perceptrons_are_cut_off(name):
    net = small()
    dense = masks.dense(net)
    scores = {n: w.detach().abs() for n, w in masks.prunable(net).items()}
    how = config.bind("structure", {"name": name, "pool": "mean", **EXTRA[name]}, "here")
    allocation = config.bind("allocation", {"name": "globally"}, "here")
    made = how(net, TASK, scores, dense)
    assert {n: len(s) for n, s in made.scores.items()} == {"blocks.0.up.weight": 16, "blocks.1.up.weight": 16}
    mask = units.allocate(made, allocation, 0.8, dense)
    masks.apply_(net, mask)
    less = compact(net, mask, TASK)
    x = torch.randn(3, 1, 4, 6)
    torch.testing.assert_close(less.eval()(x), net.eval()(x))
    assert sum(w.numel() for w in masks.prunable(less).values()) == masks.kept(mask)


EXTRA = {"neuron": {"combine": "product"}, "channel": {"of": "out"}}


def test_a_net_of_timm_without_timm_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"^model=timm needs timm; type: pip install 'lottery\[timm\]'$"):
        timm(TASK, net="test_vit", patch=2, init="default", bn_scale="ones")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "patch", "words"),
    [
        ("deit_tyny_patch16_224", None, "model.net: there is no 'deit_tyny_patch16_224'; did you mean"),
        ("hf-hub:timm/test_vit", None, "model.net: there is no"),  # which create_model would fetch
        ("test_vit", None, "model.patch: patches of 16x16 do not divide images of 4x6; those of 1, 2 do"),
        ("inception_v3", None, "timm's inception_v3 cannot take images of 1x4x6"),
        ("deit_tiny_patch16_224", 4, "model.patch: patches of 4x4 do not divide images of 4x6"),  # it would go on
        ("resnet18.a1_in1k", None, "nets are made untrained; type model.net=resnet18"),
        ("deit_tiny", None, "choose from deit_tiny_distilled_patch16_224, deit_tiny_patch16_224"),
        ("test_vit", 0, "model.patch: 0 is too small"),
        ("test_resnet", 2, "model.patch: timm's test_resnet does not take a size of patches; type model.patch=null"),
    ],
)
def test_a_net_of_timm_that_cannot_be_is_one_line(net, patch, words):
    with pytest.raises(UsageError) as error:
        timm(TASK, net=net, patch=patch, init="default", bn_scale="ones")
    assert words in str(error.value) and "\n" not in str(error.value) and str(error.value).startswith("model")


@pytest.mark.slow
def test_a_net_of_timm_is_pruned_by_head_and_cut():
    """Its own attention, of one layer for q, k and v."""
    torch.manual_seed(0)
    net = timm(TASK, net="test_vit", patch=2, init="default", bn_scale="ones")
    assert net.head.out_features == 3 and net.patch_embed.proj.weight.shape[1:] == (1, 2, 2)
    dense = masks.dense(net)
    assert "blocks.0.attn.qkv.weight" in dense and {"cls_token", "pos_embed"} <= set(bare(net, dense))
    scores = {n: w.detach().abs() for n, w in masks.prunable(net).items()}
    made = config.bind("structure", {"name": "head", "pool": "mean"}, "here")(net, TASK, scores, dense)
    mask = units.allocate(made, config.bind("allocation", {"name": "uniform"}, "here"), 0.85, dense)
    masks.apply_(net, mask)
    less, x = compact(net, mask, TASK), torch.randn(3, 1, 4, 6)
    assert {block.attn.num_heads for block in less.blocks} == {1, 2}
    torch.testing.assert_close(less.eval()(x), net.eval()(x), atol=1e-5, rtol=1e-5)
    assert sum(w.numel() for w in masks.prunable(less).values()) == masks.kept(mask)

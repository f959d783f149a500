"""Structures: small nets by hand, then legal masks on every net of the zoo."""

import importlib
from types import SimpleNamespace

import pytest
import shipped
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import nn

from lottery.config import build as config
from lottery.errors import UsageError
from lottery.nets.graph import trace
from lottery.tasks.images.outline import Outline
from lottery.terms import mask as masks
from lottery.terms import units

torch.set_num_threads(1)

MODELS = shipped.of_images()
DEEPER = {"resnet32", "resnet44", "resnet56", "resnet110", "resnet34", "vgg13", "vgg13_bn", "vgg19", "vgg19_bn", "wrn22_8",
          "wrn28_10"}  # as others are, but for their depth
LATE = {"timm"}  # of a library that takes seconds to open


def marked(*slow):
    return [pytest.param(path, marks=pytest.mark.slow) if path.stem in set().union(*slow) else path for path in MODELS]


NETS = marked(DEEPER, LATE)
SLIM = {
    "vgg": {"width": 2}, "resnet": {"width": 4}, "wide_resnet": {"widen": 1},
    "resnet_cifar": {"width": 4}, "mobilenet_v1": {"width": 0.25}, "lenet5": {"padding": 2},
    "conv_net": {"hidden": [20, 20]}, "lenet": {"hidden": [30, 20]},
    "torchvision": {"net": "shufflenet_v2_x0_5"}, "timm": {"net": "test_vit", "patch": 4},
}  # fmt: skip
TASK = Outline({}, "", input_shape=(3, 16, 16), outputs=10, fingerprint="")
LARGE = Outline({}, "", input_shape=(3, 32, 32), outputs=10, fingerprint="")  # what the net of torchvision takes


def settings(path):
    node = OmegaConf.to_container(OmegaConf.load(path))
    return node | SLIM.get(node["name"], {})


def build(path, task=TASK, **changes):
    node = settings(path) | changes
    name = node.pop("name")
    torch.manual_seed(0)
    return getattr(importlib.import_module(f"lottery.components.models.{name}"), name)(task, **node)


def task_of(path):
    return LARGE if path.stem == "torchvision" else TASK


def structure(name, **changes):
    path = config.conf_dir() / "prune" / "structure" / f"{name}.yaml"
    return config.bind("structure", OmegaConf.to_container(OmegaConf.load(path)) | changes, "here")


def keep(how, model, task, density, scores=None, mask=None, allocate="globally"):
    mask = masks.dense(model) if mask is None else mask
    if scores is None:
        scores = {n: w.detach().abs() for n, w in masks.prunable(model).items() if n in mask}
    allocation = config.bind("allocation", {"name": allocate}, "here")
    made = how(model, task, scores, mask)
    kept = units.allocate(made, allocation, density, mask)
    assert all(not (kept[n] & ~mask[n]).any() for n in mask)
    assert kept.keys() == mask.keys()
    return kept


def chain(*sizes):
    """Return linear layers whose weights are all 1."""
    model = nn.Sequential()
    for a, b in zip(sizes, sizes[1:]):
        model.append(nn.Linear(a, b))
        model.append(nn.ReLU())
    for p in model.parameters():
        nn.init.ones_(p)
    return model[:-1]


def vector(size, outputs):
    return Outline({}, "", input_shape=(size,), outputs=outputs, fingerprint="")


def test_filter_removes_rows_by_their_l1_norm_and_spares_the_output():
    model = chain(2, 3, 2)
    scores = {"0.weight": torch.tensor([[1.0, 1], [3, 0], [0, 5]]), "2.weight": torch.zeros(2, 3)}
    kept = keep(structure("filter"), model, vector(2, 2), 10 / 12, scores)
    assert kept["0.weight"].tolist() == [[False] * 2, [True] * 2, [True] * 2]
    assert kept["2.weight"].all()
    with pytest.raises(UsageError, match="lowest that this structure reaches"):
        keep(structure("filter"), model, vector(2, 2), 0.5, scores)
    with pytest.raises(UsageError, match="leaves the output layer whole"):
        keep(structure("filter"), chain(2, 2), vector(2, 2), 0.5)


def test_neuron_removes_in_and_out_weights_by_their_product():
    """Products 2 * 3, 4 * 1, 1 * 5: without the second neuron 8 of 12 weights stay."""
    model = chain(2, 3, 2)
    scores = {
        "0.weight": torch.tensor([[1.0, 1], [3, 1], [1, 0]]),
        "2.weight": torch.tensor([[3.0, 1, 2], [0, 0, 3]]),
    }
    kept = keep(structure("neuron"), model, vector(2, 2), 8 / 12, scores)
    assert kept["0.weight"].tolist() == [[True] * 2, [False] * 2, [True] * 2]
    assert kept["2.weight"].tolist() == [[True, False, True]] * 2
    # Sums 5, 5, 6: of two equals the lower index stays.
    kept = keep(structure("neuron", combine="sum"), model, vector(2, 2), 8 / 12, scores)
    assert kept["2.weight"].tolist() == [[True, False, True]] * 2
    kept = keep(structure("neuron", combine="sum"), model, vector(2, 2), 4 / 12, scores)
    assert kept["2.weight"].tolist() == [[False, False, True]] * 2


def test_inverted_scores_invert_the_order_of_units():
    model = chain(2, 3, 2)
    scores = {"0.weight": torch.tensor([[1.0, 1], [3, 1], [1, 0]]), "2.weight": torch.ones(2, 3)}
    for name, pool in [("neuron", "l1"), ("channel", "l1"), ("channel", "l2"), ("channel", "max")]:
        how = structure(name, pool=pool)
        best = keep(how, model, vector(2, 2), 4 / 12, scores)["0.weight"].any(1)
        assert best.tolist() == [False, True, False]
        upside = {n: -s for n, s in scores.items()}
        worst = keep(how, model, vector(2, 2), 8 / 12, upside)["0.weight"].any(1)
        assert worst.tolist() == [True, False, True]


def test_a_neuron_with_nothing_left_is_gone():
    model = chain(1, 3, 1)
    mask = {
        "0.weight": torch.tensor([[False], [True], [True]]),
        "2.weight": torch.tensor([[False, True, True]]),
    }
    made = structure("neuron")(model, vector(1, 1), {n: torch.ones(m.shape) for n, m in mask.items()}, mask)
    assert made.mask["0.weight"].tolist() == [False, True, True]
    kept = keep(structure("neuron"), model, vector(1, 1), 2 / 6, mask=mask)
    assert kept["0.weight"].tolist() == [[False], [True], [False]]


@pytest.mark.parametrize("of", ["out", "in", "both"])
def test_channel_pools_the_side_that_is_asked(of):
    model = chain(1, 2, 1)
    scores = {"0.weight": torch.tensor([[3.0], [2]]), "2.weight": torch.tensor([[1.0, 4]])}
    made = structure("channel", of=of, pool="l1")(model, vector(1, 1), scores, masks.dense(model))
    expected = {"out": [3, 2], "in": [1, 4], "both": [4, 6]}
    assert made.scores["0.weight"].tolist() == expected[of]


@pytest.mark.parametrize("name", ["filter", "channel"])
@pytest.mark.parametrize("pool", [None, "l1"])
def test_by_default_a_narrow_layer_of_large_weights_outlives_a_wide_one_of_small(name, pool):
    """Its units are small, so that their sums are the lowest of the net, and their means the highest."""
    model = chain(1, 2, 8, 2)
    nn.init.constant_(model[0].weight, 1.5)
    kept = keep(structure(name, **({"pool": pool} if pool else {})), model, vector(1, 2), 0.7)
    assert bool(kept["0.weight"].all()) == (pool is None)


def test_channels_of_an_excluded_layer_stay():
    model = chain(2, 3, 4, 2)
    mask = masks.dense(model, exclude=["4"])
    made = structure("channel")(model, vector(2, 2), {n: torch.ones(m.shape) for n, m in mask.items()}, mask)
    assert set(made.mask) == {"0.weight"}
    with pytest.raises(UsageError, match="no unit that this structure may remove"):
        keep(structure("neuron"), chain(2, 2), vector(2, 2), 0.5)


def test_blocks_at_the_border_are_smaller():
    """A 3x3 matrix in 2x2 blocks has blocks of 4, 2, 2 and 1 weights."""
    model = nn.Linear(3, 3)
    scores = {"weight": torch.tensor([[1.0, 1, 9], [1, 1, 9], [5, 5, 7]])}
    made = structure("block", rows=2, columns=2)(model, vector(3, 3), scores, masks.dense(model))
    assert made.scores["weight"].tolist() == [[4, 18], [10, 7]]
    kept = keep(structure("block", rows=2, columns=2), model, vector(3, 3), 5 / 9, scores)
    assert kept["weight"].tolist() == [[False, False, True], [False, False, True], [True] * 3]


def test_two_of_four_along_the_inputs():
    model = nn.Linear(6, 1)
    scores = {"weight": torch.tensor([[1.0, 4, 4, 4, 0, 9]])}
    how = structure("n_m")
    kept = keep(how, model, vector(6, 1), 4 / 6, scores)
    assert kept["weight"].tolist() == [[False, True, True, False, True, True]]
    kept = keep(how, model, vector(6, 1), 2 / 6, scores)
    assert kept["weight"].tolist() == [[False, True, False, False, False, True]]
    with pytest.raises(UsageError, match="above 0.666667, the highest"):
        keep(how, model, vector(6, 1), 5 / 6, scores)
    with pytest.raises(UsageError, match="3 of 2"):
        keep(structure("n_m", n=3, m=2), model, vector(6, 1), 0.5)


def test_two_of_four_of_a_convolution_run_over_its_channels_first():
    """[1, 4, 1, 2]: the group of the first pixel is the 4 channels there."""
    model = nn.Conv2d(4, 1, (1, 2), bias=False)
    scores = {"weight": torch.tensor([[[[8.0, 1]], [[7, 2]], [[6, 3]], [[5, 4]]]])}
    kept = keep(structure("n_m"), model, SimpleNamespace(outputs=1), 0.5, scores)
    assert kept["weight"].squeeze().tolist() == [[True, False], [True, False], [False, True], [False, True]]


def by_group(kept, m):
    """Return the kept weights of each whole group of `m`, in the order height, width, channel."""
    rows = kept.movedim(1, -1).flatten(1) if kept.dim() > 1 else kept
    return rows[:, : rows.shape[1] // m * m].reshape(-1, m).sum(1)


@pytest.mark.parametrize("path", marked(LATE), ids=lambda p: p.stem)
def test_n_m_masks_are_legal_on_every_net(path):
    task = task_of(path)
    model = build(path, task)
    mask = masks.dense(model)
    for n, m in [(2, 4), (1, 4)]:
        how = structure("n_m", n=n, m=m)
        most = sum(
            len(w) * (w[0].numel() // m * n + w[0].numel() % m)
            for w in masks.prunable(model).values()
        )
        kept = keep(how, model, task, most / masks.total(mask))
        assert masks.kept(kept) == most
        assert all((by_group(k, m) == n).all() for k in kept.values())
        fewer = keep(how, model, task, 0.2)
        assert masks.kept(fewer) == masks.count(0.2, mask)
        assert all((by_group(k, m) <= n).all() for k in fewer.values())


@pytest.mark.parametrize("path", NETS, ids=lambda p: p.stem)
def test_filter_masks_are_legal_on_every_net(path):
    task = task_of(path)
    model = build(path, task)
    mask = masks.dense(model)
    kept = keep(structure("filter"), model, task, 0.5)
    *_, last = mask
    assert last.startswith(("fc", "head")) and kept[last].all()
    for keeps in kept.values():
        whole = keeps.flatten(1)
        assert (whole.all(1) | ~whole.any(1)).all()
    largest = max(w[0].numel() for w in masks.prunable(model).values())
    wanted = masks.count(0.5, mask)
    assert wanted - largest < masks.kept(kept) <= wanted


@pytest.mark.parametrize("path", NETS, ids=lambda p: p.stem)
def test_channel_masks_are_legal_on_every_net(path):
    """Each channel is gone from all layers that make and read it, or untouched in all of them."""
    task = task_of(path)
    model = build(path, task)
    kept = keep(structure("channel"), model, task, 0.5, allocate="uniform")
    net = trace(model, task)
    gone = torch.zeros(net.size, dtype=torch.bool)
    for name, channels in net.outputs.items():
        gone[channels[~kept[name].flatten(1).any(1)]] = True
    assert gone.any()
    assert not gone[net.fixed].any()
    for name in kept:
        out = gone[net.outputs[name]][:, None]
        into = gone[net.inputs[name]] if name in net.inputs else torch.zeros(1, dtype=torch.bool)
        matrix = kept[name].flatten(2) if kept[name].dim() > 2 else kept[name][..., None]
        assert torch.equal(matrix, ~(out | into)[..., None].expand_as(matrix))
    assert masks.kept(kept) <= masks.count(0.5, kept)


class Tiny(nn.Module):
    """A residual net with BatchNorm, a depthwise convolution and a flattening."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.inner = nn.Conv2d(4, 5, 3, padding=1)
        self.inner_bn = nn.BatchNorm2d(5)
        self.back = nn.Conv2d(5, 4, 3, padding=1)
        self.back_bn = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.last_bn = nn.BatchNorm2d(4)
        self.hidden = nn.Linear(4 * 4, 6)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        x = torch.tanh(self.bn(self.stem(x)))
        x = x + self.back_bn(self.back(torch.tanh(self.inner_bn(self.inner(x)))))
        x = torch.tanh(self.last_bn(self.depthwise(x)))
        return self.fc(torch.tanh(self.hidden(F.max_pool2d(x, 2).flatten(1))))


def randomised(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


def test_what_a_removed_channel_carries_reaches_no_output():
    """Whatever bias, scale and shift it has left, for each channel of a residual net in turn."""
    torch.manual_seed(0)
    task = Outline({}, "", input_shape=(1, 4, 4), outputs=2, fingerprint="")
    images = torch.randn(3, 1, 4, 4)
    dense = masks.dense(Tiny())
    model = randomised(Tiny())
    original = {k: v.clone() for k, v in model.state_dict().items()}
    ones = {n: torch.ones(m.shape) for n, m in dense.items()}
    made = structure("channel")(model, task, ones, dense)
    net = trace(model, task)
    assert {n: len(s) for n, s in made.scores.items()} == {"stem.weight": 4, "inner.weight": 5, "hidden.weight": 6}
    for group, all_units in made.mask.items():
        for unit in range(len(all_units)):
            chosen = {n: m.clone() for n, m in made.mask.items()}
            chosen[group][unit] = False
            mask = made.spread(chosen)
            model.load_state_dict(original)
            with torch.no_grad():
                whole = model(images)
                masks.apply_(model, mask)
                before = model(images)
                channel = net.outputs[group][unit]
                for name, channels in [*net.norms.items(), *net.outputs.items()]:
                    module = model.get_submodule(name.removesuffix(".weight"))
                    module.bias[channels == channel] = torch.randn(())
                    if name in net.norms:
                        module.weight[channels == channel] = torch.randn(())
                        module.running_mean[channels == channel] = torch.randn(())
                assert torch.equal(model(images), before)
                assert not torch.equal(whole, before)


def bn_net():
    """Return a net in which one BatchNorm follows a convolution and one precedes another."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1), nn.MaxPool2d(2), nn.BatchNorm2d(3),
        nn.Conv2d(3, 1, 1), nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([-2.0, 0.5]))
        model[4].weight.copy_(torch.tensor([1.0, -3.0, 0.0]))
    return model


def test_bn_scale_gives_each_channel_its_own_scale():
    model, task = bn_net(), Outline({}, "", input_shape=(1, 2, 2), outputs=1, fingerprint="")
    criterion = config.bind("criterion", {"name": "bn_scale"}, "here")
    mask = masks.dense(model)
    scores = criterion(model, mask, task, torch.Generator(), 0.5)
    assert scores["0.weight"].flatten().tolist() == [2, 0.5]
    assert scores["2.weight"].flatten(1).tolist() == [[1, 1], [3, 3], [0, 0]]
    assert scores["5.weight"].flatten().tolist() == [3, 3, 3]
    kept = keep(structure("channel", pool="mean"), model, task, 5 / 11, scores)
    assert kept["0.weight"].flatten().tolist() == [True, False]
    assert kept["2.weight"].flatten(1).tolist() == [[True, False], [True, False], [False, False]]
    assert all(torch.equal(scores[n].isnan(), torch.zeros(m.shape).bool()) for n, m in mask.items())


def test_bn_scale_names_the_layers_without():
    criterion = config.bind("criterion", {"name": "bn_scale"}, "here")
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with pytest.raises(UsageError, match="layers: 2"):
        criterion(model, masks.dense(model), vector(2, 1), torch.Generator(), 0.5)
    with pytest.raises(UsageError, match="this model has none"):
        criterion(chain(2, 3, 1), masks.dense(chain(2, 3, 1)), vector(2, 1), torch.Generator(), 0.5)

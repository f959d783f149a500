"""Check every net under conf/model: its settings, shapes, gradients, sizes and refusals."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import shipped
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.tasks.images.outline import Outline
from lottery.terms.mask import prunable

torch.set_num_threads(1)

ROOT = Path(__file__).parents[2]
YAMLS = sorted((ROOT / "conf" / "model").glob("*.yaml"))
CHOICES = [path.stem for path in YAMLS]
IMAGES = [((1, 8, 8), 10), ((1, 28, 28), 10), ((3, 32, 32), 100), ((2, 17, 9), 3)]
IMAGES += [((3, 224, 224), 1000)]
# Settings under which a net with many weights runs in a fraction of a second.
SLIM: dict[str, dict[str, Any]] = {
    "vgg": {"width": 4},
    "resnet": {"width": 8},
    "wide_resnet": {"widen": 1},
    "mobilenet_v1": {"width": 0.25},
    "torchvision": {"net": "shufflenet_v2_x0_5"},
    "timm": {"net": "test_resnet"},
}
LATE = {"timm"}  # of a library that takes seconds to open
# Settings without which a net cannot take small images, or odd ones; refusals have a test of their own.
SMALL: dict[str, dict[str, Any]] = {"lenet5": {"padding": 2}}
ODD: dict[str, dict[str, Any]] = {"vit": {"patch": 1}}


def settings(choice: str) -> dict[str, Any]:
    node = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "model" / f"{choice}.yaml"))
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items() if key != "defaults"}


# One yaml for each net, of short name: resnet20 rather than resnet110.
OF_IMAGES = [path.stem for path in shipped.of_images()]
BY_LENGTH = sorted(OF_IMAGES, key=lambda choice: (len(choice), choice), reverse=True)
ONE_EACH = list({settings(choice)["name"]: choice for choice in BY_LENGTH}.values())


def marked(choice: str, *others: Any) -> Any:
    """Return what parametrizes a test by a net, slow where its library is."""
    return pytest.param(choice, *others, marks=[pytest.mark.slow] if choice in LATE else [])


def build(choice: str, shape: tuple[int, ...], outputs: int, **changes: Any) -> nn.Module:
    node = settings(choice) | changes
    name = node.pop("name")
    function = getattr(importlib.import_module(f"lottery.components.models.{name}"), name)
    model = function(Outline({}, "", input_shape=shape, outputs=outputs, fingerprint=""), **node)
    assert isinstance(model, nn.Module)
    return model


def meta(choice: str, shape: tuple[int, ...], outputs: int, **changes: Any) -> nn.Module:
    """Build on the meta device: shapes and names without numbers, so in no time."""
    with torch.device("meta"):
        return build(choice, shape, outputs, **changes)


def fitting(choice: str, shape: tuple[int, ...]) -> dict[str, Any]:
    small = SMALL.get(choice, {}) if min(shape[1:]) < 16 else {}
    return small | (ODD.get(choice, {}) if any(side % 4 for side in shape[1:]) else {})


def sizes(model: nn.Module) -> tuple[int, int]:
    """Return the numbers of prunable weights and of all parameters."""
    every = sum(p.numel() for p in model.parameters())
    return sum(p.numel() for p in prunable(model).values()), every


@pytest.mark.parametrize("path", sorted((ROOT / "lottery" / "components" / "models").glob("[!_]*.py")))
def test_every_net_has_a_yaml(path: Path) -> None:
    assert path.stem in {settings(choice)["name"] for choice in CHOICES}


@pytest.mark.parametrize("choice", CHOICES)
def test_yaml_states_every_setting_and_no_other(choice: str) -> None:
    name = settings(choice).pop("name")
    function = getattr(importlib.import_module(f"lottery.components.models.{name}"), name)
    task, *knobs = inspect.signature(function).parameters.values()
    assert task.name == "task"
    assert all(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in knobs)
    assert list(settings(choice)) == ["name", *(p.name for p in knobs)]


@pytest.mark.parametrize("choice", CHOICES)
def test_yaml_is_commented(choice: str) -> None:
    first, *lines = (ROOT / "conf" / "model" / f"{choice}.yaml").read_text().splitlines()
    name, *knobs = lines[next(n for n, line in enumerate(lines) if line.startswith("name: ")) :]
    assert first.startswith("# ") and name.startswith("name: ")
    assert all("  # " in line and len(line) <= 100 for line in knobs)


@pytest.mark.parametrize(
    ("choice", "shape", "outputs"),
    [marked(choice, *images) for choice in ONE_EACH for images in IMAGES]
    + [marked(choice, (3, 64, 64), 200) for choice in OF_IMAGES],
)
def test_takes_images_of_any_shape(choice: str, shape: tuple[int, ...], outputs: int) -> None:
    changes = fitting(choice, shape)
    if choice in ("torchvision", "timm"):
        changes = SLIM[choice]
    model = meta(choice, shape, outputs, **changes).eval()  # BatchNorm is slow on meta in training
    with torch.no_grad():
        assert model(torch.empty(2, *shape, device="meta")).shape == (2, outputs)


@pytest.mark.parametrize("choice", [marked(choice) for choice in OF_IMAGES])
def test_runs_forward_and_backward(choice: str) -> None:
    torch.manual_seed(0)
    model = build(
        choice,
        (1, 8, 8),
        10,
        **SLIM.get(settings(choice)["name"], {}),
        **fitting(choice, (1, 8, 8)),
    )
    out = model(torch.randn(2, 1, 8, 8))
    assert out.shape == (2, 10) and out.isfinite().all()
    torch.autograd.backward(nn.functional.cross_entropy(out, torch.tensor([1, 7])))
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("choice", [marked(choice) for choice in ONE_EACH])
def test_same_seed_gives_the_same_net_and_outputs(choice: str) -> None:
    changes = SLIM.get(settings(choice)["name"], {}) | fitting(choice, (1, 8, 8))
    states: list[dict[str, Tensor]] = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        model = build(choice, (1, 8, 8), 10, **changes)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    weights = prunable(model)
    assert not any(torch.equal(states[0][name], states[2][name]) for name in weights)
    x = torch.randn(3, 1, 8, 8)
    given = x.clone()
    model.eval()
    with torch.no_grad():
        out = model(x)
        assert torch.equal(out, model(x))
        torch.testing.assert_close(model(x[:1]), out[:1], atol=1e-4, rtol=1e-3)
    assert torch.equal(x, given)


@pytest.mark.parametrize(
    ("choice", "weights", "parameters"),
    [
        ("conv2", 4_300_992, 4_301_642),
        ("conv4", 2_425_024, 2_425_930),
        ("conv6", 2_261_184, 2_262_602),
        ("resnet20", 270_896, 272_474),
        ("resnet18", 11_164_352, 11_173_962),
        ("vgg16", 14_715_584, 14_719_818),
        ("vgg16_bn", 14_715_584, 14_724_042),
        ("wrn28_10", 36_461_232, 36_479_194),
        ("mobilenet_v1", 3_195_328, 3_217_226),
        ("densenet40", 1_001_616, 1_019_722),
    ],
)
def test_sizes_on_cifar10(choice: str, weights: int, parameters: int) -> None:
    assert sizes(meta(choice, (3, 32, 32), 10)) == (weights, parameters)


def test_sizes_elsewhere() -> None:
    assert sizes(meta("lenet_300_100", (1, 28, 28), 10)) == (266_200, 266_610)
    assert sizes(meta("lenet5", (1, 28, 28), 10)) == (430_500, 431_080)
    # Published totals: torchvision's ResNet-18 and -34, MobileNet, DenseNet-BC (L=100, k=12).
    for depth, total in ((18, 11_689_512), (34, 21_797_672)):
        model = meta("resnet18", (3, 224, 224), 1000, depth=depth, stem="imagenet")
        assert sizes(model)[1] == total
    assert sizes(meta("mobilenet_v1", (3, 224, 224), 1000, stem="imagenet"))[1] == 4_231_976
    bc = meta("densenet40", (3, 32, 32), 10, depth=100, bottleneck=True, reduction=0.5)
    assert sizes(bc)[1] == 769_162


def test_identity_shortcuts_have_no_weights() -> None:
    # He et al. 2016, table 6: 0.27 M parameters; the two 1x1 shortcuts had 16*32 + 32*64 = 2,560.
    model = meta("resnet20", (3, 32, 32), 10, shortcut="identity")
    assert sizes(model) == (268_336, 269_722)
    odd = meta("resnet20", (3, 9, 9), 10, shortcut="identity", width=3)
    assert odd(torch.empty(2, 3, 9, 9, device="meta")).shape == (2, 10)


def test_identity_shortcut_strides_and_pads() -> None:
    module = importlib.import_module("lottery.components.models.resnet_cifar")
    x = torch.arange(1.0, 10.0).view(1, 1, 3, 3)  # rows 1 2 3, 4 5 6, 7 8 9
    out = module.IdentityShortcut(1, 3, 2)(x)
    assert out[0].tolist() == [[[0, 0], [0, 0]], [[1, 3], [7, 9]], [[0, 0], [0, 0]]]


def test_output_layer_is_called_fc() -> None:
    for choice in set(ONE_EACH) - LATE:
        names = list(prunable(meta(choice, (3, 32, 32), 10)))
        assert names[-1] == "fc.weight"


def test_batch_norm_scales_follow_the_yaml() -> None:
    torch.manual_seed(0)
    for scale, whole in (("uniform", False), ("ones", True)):
        model = build("resnet20", (1, 8, 8), 10, bn_scale=scale)
        gammas = [m.weight for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        assert len(gammas) == 21
        assert all(bool((g == 1).all()) is whole for g in gammas)


def test_dropout_works_in_training_only() -> None:
    torch.manual_seed(0)
    model = build("wrn16_8", (1, 8, 8), 10, widen=1, dropout=0.5)
    x = torch.randn(2, 1, 8, 8)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("init", ["default", "kaiming_normal"])
def test_torchvision_keeps_or_redraws_its_weights(init: str) -> None:
    torch.manual_seed(0)
    model = build("torchvision", (3, 32, 32), 7, net="resnet18", init=init)
    w = dict(model.named_parameters())["layer1.0.conv1.weight"]
    # torchvision draws by fan_out and we by fan_in, which here are equal: 64 * 9.
    assert w.std().item() == pytest.approx((2 / 576) ** 0.5, rel=0.02)
    bias = dict(model.named_parameters())["fc.bias"]
    assert bool(bias.any()) is (init == "default")


@pytest.mark.parametrize("net", ["googlenet", "vit_b_16", "regnet_y_400mf"])
def test_torchvision_nets_with_settings_of_their_own(net: str) -> None:
    if net == "regnet_y_400mf":  # reads numbers while it is built, so not on the meta device
        model = build("torchvision", (1, 32, 32), 5, net=net)
        assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 5)
        return
    model = meta("torchvision", (1, 96, 96), 5, net=net, init="kaiming_normal")
    assert model(torch.empty(2, 1, 96, 96, device="meta")).shape == (2, 5)


@pytest.mark.parametrize(
    ("choice", "shape", "changes", "words"),
    [
        ("resnet20", (3, 32, 32), {"depth": 21}, "not 21; type model.depth=20"),
        ("resnet20", (3, 32, 32), {"depth": 2}, "not 2; type model.depth=8"),
        ("resnet20", (3, 32, 32), {"shortcut": "con"}, "did you mean conv?"),
        ("resnet20", (3, 32, 32), {"width": 0}, "model.width: 0 is too small"),
        ("resnet20", (64,), {}, "takes images [C, H, W]"),
        ("resnet18", (3, 32, 32), {"depth": 50}, "choose from 18, 34"),
        ("resnet18", (3, 32, 32), {"stem": "cifar"}, "choose from small, imagenet"),
        ("vgg16", (3, 32, 32), {"depth": 12}, "11, 13, 16, 19"),
        ("wrn16_8", (3, 32, 32), {"depth": 20}, "type model.depth=16"),
        ("wrn16_8", (3, 32, 32), {"dropout": 1.0}, "not in [0, 1)"),
        ("densenet40", (3, 32, 32), {"depth": 41}, "type model.depth=40"),
        ("densenet40", (3, 32, 32), {"bottleneck": True, "depth": 41}, "6n+4"),
        ("densenet40", (3, 32, 32), {"reduction": 0.0}, "not in (0, 1]"),
        ("mobilenet_v1", (3, 32, 32), {"width": 0.0}, "too small"),
        ("conv2", (3, 32, 32), {"channels": []}, "too small"),
        ("conv2", (3, 32, 32), {"init": "xavier"}, "did you mean xavier_normal?"),
        ("lenet_300_100", (3, 32, 32), {"hidden": [300, 0]}, "too small"),
        ("lenet5", (1, 8, 8), {}, "type model.padding=2"),
        ("lenet5", (1, 28, 28), {"channels": [20]}, "not 1; type 'model.channels=[20,50]'"),
        ("vit", (3, 30, 18), {}, "of 30x18; those of 1, 2, 3, 6 do, type model.patch=3"),
        ("vit", (3, 32, 32), {"heads": 3}, "3 heads do not divide a width of 64; type model.heads=2"),
        ("vit", (3, 32, 32), {"ratio": 0.0}, "model.ratio: 0 is too small"),
        ("vit", (3, 32, 32), {"dropout": 1.0}, "not in [0, 1)"),
        ("vit", (64,), {}, "takes images [C, H, W]"),
        ("torchvision", (3, 32, 32), {"net": "resnet5"}, "did you mean resnet50"),
        ("torchvision", (3, 32, 32), {"net": "alexnet"}, "alexnet cannot take images of 3x32x32"),
    ],
)
def test_refuses_in_one_line(
    choice: str, shape: tuple[int, ...], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        meta(choice, shape, 10, **changes)
    message = str(caught.value)
    assert words in message and "\n" not in message and message.startswith("model")

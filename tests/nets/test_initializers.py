"""Check the first weights against the formulas, on nets small enough to count by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.nets.initializers import BN_SCALES, INITS, image_shape, initialize
from lottery.wording.settings import at_least, choose

# fan_in 8 * 9 = 72, fan_out 200 * 9 = 1800; 14,400 weights, so that a std is known to 2 %.
KAIMING, XAVIER = math.sqrt(2 / 72), math.sqrt(2 / (72 + 1800))


def drawn(init: str, bn_scale: str = "ones", seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(8, 200, 3), nn.BatchNorm2d(200), nn.Linear(200, 4))
    initialize(model, init, bn_scale)
    return model


def weight(model: nn.Sequential, index: int) -> Tensor:
    value = model[index].weight
    assert isinstance(value, Tensor)
    return value.detach()


@pytest.mark.parametrize(
    ("init", "std", "largest"),
    [
        ("kaiming_normal", KAIMING, math.inf),
        ("kaiming_uniform", KAIMING, KAIMING * math.sqrt(3)),
        ("xavier_normal", XAVIER, math.inf),
        ("xavier_uniform", XAVIER, XAVIER * math.sqrt(3)),
        ("signed_constant", KAIMING, KAIMING),
        ("default", 1 / math.sqrt(3 * 72), 1 / math.sqrt(72)),
    ],
)
def test_spread_is_that_of_the_formula(init: str, std: float, largest: float) -> None:
    w = weight(drawn(init), 0)
    assert w.std().item() == pytest.approx(std, rel=0.02)
    assert abs(w.mean().item()) < 0.05 * std
    assert w.abs().max().item() <= largest * 1.000001


def test_signed_constant_has_one_size_and_both_signs() -> None:
    w = weight(drawn("signed_constant"), 2)  # fan_in 200: c = sqrt(2 / 200) = 0.1
    torch.testing.assert_close(w.abs(), torch.full((4, 200), 0.1))
    assert 300 < int((w > 0).sum()) < 500


def test_orthogonal_rows_have_length_root_two() -> None:
    w = weight(drawn("orthogonal"), 2)
    torch.testing.assert_close(w @ w.T, 2 * torch.eye(4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("init", sorted(INITS.keys() - {"default"}))
def test_biases_are_zero(init: str) -> None:
    model = drawn(init)
    for layer in (model[0], model[2]):
        assert isinstance(layer.bias, Tensor)
        assert not layer.bias.any()


def test_default_leaves_what_torch_drew() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 200, 3)
    assert torch.equal(weight(drawn("default"), 0), plain.weight)


def test_bn_scales() -> None:
    assert torch.equal(weight(drawn("default", "ones"), 1), torch.ones(200))
    model = drawn("default", "uniform")
    gamma = weight(model, 1)
    assert 0 <= gamma.min() < 0.1 and 0.9 < gamma.max() <= 1
    assert gamma.mean().item() == pytest.approx(0.5, abs=0.1)
    assert isinstance(model[1].bias, Tensor) and not model[1].bias.any()


@pytest.mark.parametrize("init", INITS)
def test_weights_depend_on_the_seed_and_not_on_bn_scale(init: str) -> None:
    ones, uniform, other = (
        drawn(init, bn_scale, seed) for bn_scale, seed in (("ones", 0), ("uniform", 0), ("ones", 1))
    )
    assert torch.equal(weight(ones, 2), weight(uniform, 2))
    assert not torch.equal(weight(ones, 2), weight(other, 2))


def test_batchnorm_without_weights_is_left_alone() -> None:
    initialize(nn.Sequential(nn.BatchNorm2d(3, affine=False)), "kaiming_normal", "uniform")


@pytest.mark.parametrize(
    ("init", "bn_scale", "words"),
    [
        ("kaiming", "ones", "model.init: there is no 'kaiming'; did you mean kaiming_normal?"),
        ("xavier_normal", "one", "model.bn_scale: there is no 'one'; did you mean ones?"),
        ("zzz", "ones", "model.init: there is no 'zzz'; choose from kaiming_normal, "),
    ],
)
def test_unknown_name_is_refused_in_one_line(init: str, bn_scale: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        initialize(nn.Linear(2, 2), init, bn_scale)
    message = str(caught.value)
    assert message.startswith(words) and "\n" not in message
    assert all(name in message for name in (BN_SCALES if init in INITS else INITS))


def test_choose_takes_whole_numbers_and_shortens_long_lists() -> None:
    assert choose({18: "a", 34: "b"}, 34, "model.depth") == "b"
    with pytest.raises(UsageError, match=r"^model.depth: there is no 20; choose from 18, 34$"):
        choose({18: "a", 34: "b"}, 20, "model.depth")
    many = {f"net_{number:03}": 0 for number in range(100)}
    with pytest.raises(UsageError) as caught:
        choose(many, "net_0", "model.net")
    assert "did you mean net_0" in str(caught.value) and len(str(caught.value)) < 120
    with pytest.raises(UsageError, match=r"net_011, \.\.\.$"):
        choose(many, "zzz", "model.net")


def test_shapes_and_sizes_that_no_net_takes() -> None:
    assert image_shape((3, 8, 9), "vgg") == (3, 8, 9)
    with pytest.raises(UsageError, match=r"vgg takes images \[C, H, W\].*shape \[4\]"):
        image_shape((4,), "vgg")
    with pytest.raises(UsageError, match=r"^model.width: 0 is too small; give 1 or more$"):
        at_least(1, width=0)

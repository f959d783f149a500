"""Draw the first weights of a net by the name of a distribution, and check what a net is asked."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lottery.errors import UsageError
from lottery.terms.prunable import draw_
from lottery.wording.settings import choose


def initialize(model: nn.Module, init: str, bn_scale: str) -> None:
    """Draw the weights of the layers that may be pruned, and of BatchNorms, anew, in place.

    All draws come from torch's global generator, which the caller seeds. The weights are drawn
    before the BatchNorm scales, so `bn_scale` does not change them. Biases become zero, except
    under `default`, which leaves layers as they were built. Raises UsageError for an unknown name.
    """
    draw = choose(INITS, init, "model.init")
    scale = choose(BN_SCALES, bn_scale, "model.bn_scale")
    with torch.no_grad():
        if draw is not None:
            for layer in model.modules():
                draw_(layer, draw)
        for layer in model.modules():
            if isinstance(layer, _BatchNorm) and layer.affine:
                scale(layer.weight)
                layer.bias.zero_()


def kaiming_normal(weight: Tensor) -> None:
    """Draw from N(0, 2 / fan_in), in place (He et al. 2015, eq. 10)."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu")


def kaiming_uniform(weight: Tensor) -> None:
    """Draw from U(-b, b) with b = sqrt(6 / fan_in), in place: the variance of kaiming_normal."""
    nn.init.kaiming_uniform_(weight, nonlinearity="relu")


def xavier_normal(weight: Tensor) -> None:
    """Draw from N(0, 2 / (fan_in + fan_out)), in place (Glorot and Bengio 2010, eq. 12)."""
    nn.init.xavier_normal_(weight)


def xavier_uniform(weight: Tensor) -> None:
    """Draw from U(-b, b) with b = sqrt(6 / (fan_in + fan_out)), in place (ibid., eq. 16)."""
    nn.init.xavier_uniform_(weight)


def orthogonal(weight: Tensor) -> None:
    """Draw a matrix [out, rest] with orthogonal rows or columns of length sqrt(2), in place.

    Saxe et al. 2014; the gain is that of a ReLU.
    """
    nn.init.orthogonal_(weight, gain=math.sqrt(2))


def signed_constant(weight: Tensor) -> None:
    """Draw +c or -c, equally likely, with c = sqrt(2 / fan_in), in place.

    Zhou et al. 2019 (Deconstructing Lottery Tickets): signs matter, sizes do not. They take the
    constant from Glorot's variance, we from He's.
    """
    constant = math.sqrt(2 / weight[0].numel())
    weight.copy_(torch.randint_like(weight, 2).mul_(2).sub_(1).mul_(constant))


INITS: dict[str, Callable[[Tensor], None] | None] = {
    "kaiming_normal": kaiming_normal,
    "kaiming_uniform": kaiming_uniform,
    "xavier_normal": xavier_normal,
    "xavier_uniform": xavier_uniform,
    "orthogonal": orthogonal,
    "signed_constant": signed_constant,
    "default": None,
}

BN_SCALES: dict[str, Callable[[Tensor], object]] = {
    "ones": nn.init.ones_,
    "uniform": nn.init.uniform_,
}


def image_shape(shape: Sequence[int], net: str) -> tuple[int, int, int]:
    """Return (C, H, W); raise UsageError where an example is not an image."""
    if len(shape) != 3:
        raise UsageError(
            f"model: {net} takes images [C, H, W], and an example of this dataset has the shape "
            f"{list(shape)}; choose another model or dataset"
        )
    channels, height, width = shape
    return channels, height, width


def check_patch(patch: int, height: int, width: int) -> None:
    """Raise UsageError for patches that do not divide images, with those that do."""
    if height % patch or width % patch:
        fitting = divisors(height, width)
        raise UsageError(
            f"model.patch: patches of {patch}x{patch} do not divide images of {height}x{width}; "
            f"those of {', '.join(map(str, fitting))} do, type model.patch="
            f"{min(fitting, key=lambda size: abs(size - patch))}"
        )


def divisors(one: int, other: int) -> list[int]:
    """Return the numbers that divide both, in order."""
    return [n for n in range(1, min(one, other) + 1) if one % n == other % n == 0]


def check_forward(model: nn.Module, shape: tuple[int, int, int]) -> None:
    """Run two images through on the meta device, which computes shapes only; raise what it does."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shadow = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    torch.func.functional_call(model, shadow, torch.empty(2, *shape, device="meta"))

"""Draw the first weights of a net by the name of a distribution, and check what a net is asked."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lottery.errors import UsageError
from lottery.prunable import TABLE, weights_of
from lottery.spelling import nearest

K = TypeVar("K", str, int)
V = TypeVar("V")

BIAS = re.compile("bias(_|$)")
FEW = 12  # a list of names longer than this is not printed whole


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


def draw_(layer: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Draw a module's weights anew, gate by gate, and set its biases to zero, in place.

    Embeddings stay: what a token begins as has no fan-in.
    """
    drawn = False
    for kind in TABLE:
        if isinstance(layer, kind.modules) and not kind.asked:
            for _, weight in weights_of(layer, kind.weights):
                for block in weight.chunk(kind.blocks):
                    draw(block)
                drawn = True
    for name, parameter in layer.named_parameters(recurse=False):
        if drawn and BIAS.search(name):
            parameter.zero_()


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


def choose(options: Mapping[K, V], name: K, setting: str) -> V:
    """Return the option of that name; raise UsageError with the names that there are."""
    if name in options:
        return options[name]
    raise UsageError(f"{setting}: there is no {name!r}; {hint(options, str(name))}")


def hint(options: Iterable[str | int], name: str) -> str:
    """Return what a person who typed `name` may have meant, and the names where they are few."""
    names = [str(option) for option in options]
    near = nearest(name, names, most=1)
    guess = f"did you mean {' or '.join(near)}?" if near else ""
    known = f"choose from {', '.join(names[:FEW])}" + (", ..." if len(names) > FEW else "")
    return guess if near and len(names) > FEW else f"{guess} {known}".strip()


def image_shape(shape: Sequence[int], net: str) -> tuple[int, int, int]:
    """Return (C, H, W); raise UsageError where an example is not an image."""
    if len(shape) != 3:
        raise UsageError(
            f"model: {net} takes images [C, H, W], and an example of this dataset has the shape "
            f"{list(shape)}; choose another model or dataset"
        )
    channels, height, width = shape
    return channels, height, width


def at_least(least: float, **settings: float) -> None:
    """Raise UsageError for a setting of the model that is smaller than `least`."""
    for name, value in settings.items():
        if value < least:
            raise UsageError(f"model.{name}: {value} is too small; give {least} or more")

"""Find the convolutions whose gradient torch gets wrong in bf16 on the CPU."""

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


class Strides(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Note every convolution that steps over more pixels than its input is wide.

    Where it pads as well, torch 2.13 (oneDNN) leaves memory that nobody wrote in the gradient of
    its weight, or ends in a segmentation fault: in either memory format, depthwise or not. Found
    by 5,264 convolutions beside float32: most of this shape were wrong, none of any other.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[int, int]] = []  # stride, width of the input

    def __torch_dispatch__(
        self, operator: Any, types: Any, given: Any = (), named: Any = None
    ) -> Any:
        if operator is torch.ops.aten.convolution.default:
            image, _, _, stride, padding, _, transposed = given[:7]
            if not transposed and padding[-1] and stride[-1] > image.shape[-1]:
                self.found.append((stride[-1], image.shape[-1]))
        return operator(*given, **(named or {}))


@torch.no_grad()
def too_narrow(model: nn.Module, given: tuple[Any, ...]) -> tuple[int, int] | None:
    """Return stride and width of the first such convolution of a model; None where it has none."""
    with Strides() as strides:
        model(*given)
    return next(iter(strides.found), None)

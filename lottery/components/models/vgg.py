"""Build the VGGs in the form that CIFAR papers use."""

import torch.nn.functional as F
from torch import Tensor, nn

from lottery.nets.initializers import image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least, choose

# Convolutions in each of the five stages (Simonyan and Zisserman 2015, table 1: A, B, D, E).
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (1, 2, 4, 8, 8)


def vgg(
    task: Shaped, *, depth: int, width: int, batch_norm: bool, init: str, bn_scale: str
) -> nn.Module:
    """Return the convolutions of VGG-`depth`, a global average pool and one linear layer, `fc`.

    As in OpenLTH and Synaptic-Flow: a 2x2 max pool after each of the first four stages, and one
    linear layer where the paper has three. `width` is the first stage's, 64 in the paper. A pool
    that would shrink a side of a tiny image below 1 is left out.
    """
    at_least(1, width=width)
    stages = choose(STAGES, depth, "model.depth")
    channels, height, side = image_shape(task.input_shape, "vgg")
    pools = min(4, min(height, side).bit_length() - 1)
    model = Vgg(channels, stages, width, batch_norm, pools, task.outputs)
    initialize(model, init, bn_scale)
    return model


class ConvBlock(nn.Module):
    """A 3x3 convolution, BatchNorm or none, and a ReLU."""

    def __init__(self, before: int, after: int, batch_norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1, bias=not batch_norm)
        self.bn = nn.BatchNorm2d(after) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Vgg(nn.Module):
    """`stages` holds the number of convolutions of each stage; `pools` stages end in a max pool."""

    def __init__(
        self,
        channels: int,
        stages: tuple[int, ...],
        width: int,
        batch_norm: bool,
        pools: int,
        outputs: int,
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential()
        before = channels
        for stage, (convolutions, times) in enumerate(zip(stages, WIDTHS, strict=True)):
            for _ in range(convolutions):
                self.blocks.append(ConvBlock(before, width * times, batch_norm))
                before = width * times
            if stage < pools:
                self.blocks.append(nn.MaxPool2d(2))
        self.fc = nn.Linear(before, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(x).mean((2, 3)))  # type: ignore[no-any-return]

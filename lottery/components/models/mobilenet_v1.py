"""Build MobileNet, the first version: depthwise and pointwise convolutions in turn."""

import torch.nn.functional as F
from torch import Tensor, nn

from lottery.nets.initializers import image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least, choose

# Channels after each pair of convolutions, and its stride (Howard et al. 2017, table 1).
PAIRS = (
    [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    + [(512, 1)] * 5
    + [(1024, 2), (1024, 1)]
)
STEMS = {"small": 1, "imagenet": 2}  # the stride of the first convolution


def mobilenet_v1(task: Shaped, *, width: float, stem: str, init: str, bn_scale: str) -> nn.Module:
    """Return a 3x3 convolution, 13 pairs of depthwise and 1x1 convolutions, and `fc`.

    `width` multiplies the channels of every layer, which keep 8 at least (the paper's alpha).
    `stem` is the first convolution's stride: `small` 1, for images of about 32 pixels, or
    `imagenet` 2.
    """
    stride = choose(STEMS, stem, "model.stem")
    at_least(0.01, width=width)
    channels, _, _ = image_shape(task.input_shape, "mobilenet_v1")
    model = MobilenetV1(channels, width, stride, task.outputs)
    initialize(model, init, bn_scale)
    return model


class Pair(nn.Module):
    """A depthwise 3x3 and a pointwise 1x1 convolution, each with BatchNorm and ReLU."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.pointwise = nn.Conv2d(before, after, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.depthwise(x)))
        return F.relu(self.bn2(self.pointwise(x)))


class MobilenetV1(nn.Module):
    """Stem, pairs, global average pool, `fc`."""

    def __init__(self, channels: int, width: float, stride: int, outputs: int) -> None:
        super().__init__()
        before = scaled(32, width)
        self.conv = nn.Conv2d(channels, before, 3, stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(before)
        self.blocks = nn.Sequential()
        for full, step in PAIRS:
            after = scaled(full, width)
            self.blocks.append(Pair(before, after, step))
            before = after
        self.fc = nn.Linear(before, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.bn(self.conv(x))))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


def scaled(channels: int, width: float) -> int:
    """Return the channels times the multiplier, rounded down, 8 at least."""
    return max(8, int(channels * width))

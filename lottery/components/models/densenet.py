"""Build the DenseNets made for CIFAR: plain (L=40, k=12) and with bottlenecks (DenseNet-BC)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.nets.initializers import image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least


def densenet(
    task: Shaped,
    *,
    depth: int,
    growth: int,
    bottleneck: bool,
    reduction: float,
    init: str,
    bn_scale: str,
) -> nn.Module:
    """Return three dense blocks with a transition after each of the first two, and `fc`.

    Huang et al. 2017, section 3. Each layer adds `growth` channels to what it was given. The stem
    has 16 channels, and 2 `growth` with bottlenecks; a transition keeps the share `reduction` of
    the channels. The paper's dropout for data without augmentation is left out, as is a pool that
    would shrink a side below 1. Raises UsageError for a depth not 3n+4, 6n+4 with bottlenecks.
    """
    times = 6 if bottleneck else 3
    layers, rest = divmod(depth - 4, times)
    if rest or layers < 1:
        kind = "with bottlenecks" if bottleneck else "without bottlenecks"
        raise UsageError(
            f"model.depth: densenet {kind} has {times}n+4 layers, not {depth}; "
            f"type model.depth={times * max(layers, 1) + 4}"
        )
    if not 0 < reduction <= 1:
        raise UsageError(f"model.reduction: {reduction} is not in (0, 1]; type model.reduction=0.5")
    at_least(1, growth=growth)
    channels, height, width = image_shape(task.input_shape, "densenet")
    pools = min(2, min(height, width).bit_length() - 1)
    model = Densenet(channels, layers, growth, bottleneck, reduction, pools, task.outputs)
    initialize(model, init, bn_scale)
    return model


class Layer(nn.Module):
    """BatchNorm, ReLU, 3x3 convolution; its output is appended to its input."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(before)
        self.conv = nn.Conv2d(before, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(F.relu(self.bn(x)))], 1)


class BottleneckLayer(nn.Module):
    """The same with a 1x1 convolution to 4 `growth` channels before it."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(F.relu(self.bn1(x)))
        return torch.cat([x, self.conv2(F.relu(self.bn2(out)))], 1)


class Transition(nn.Module):
    """BatchNorm, ReLU, 1x1 convolution, and a 2x2 average pool where there is room."""

    def __init__(self, before: int, after: int, pool: bool) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(before)
        self.conv = nn.Conv2d(before, after, 1, bias=False)
        self.pool = nn.AvgPool2d(2) if pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.conv(F.relu(self.bn(x))))  # type: ignore[no-any-return]


class Densenet(nn.Module):
    """Stem, three blocks of `layers` layers, BatchNorm, ReLU, global average pool, `fc`."""

    def __init__(
        self,
        channels: int,
        layers: int,
        growth: int,
        bottleneck: bool,
        reduction: float,
        pools: int,
        outputs: int,
    ) -> None:
        super().__init__()
        layer = BottleneckLayer if bottleneck else Layer
        before = 2 * growth if bottleneck else 16
        self.conv = nn.Conv2d(channels, before, 3, padding=1, bias=False)
        self.blocks = nn.Sequential()
        for block in range(3):
            for _ in range(layers):
                self.blocks.append(layer(before, growth))
                before += growth
            if block < 2:
                after = max(1, int(before * reduction))
                self.blocks.append(Transition(before, after, block < pools))
                before = after
        self.bn = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.blocks(self.conv(x))))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]

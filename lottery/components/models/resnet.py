"""Build the ResNets that He et al. made for ImageNet, of basic blocks, with a choice of stem."""

import torch.nn.functional as F
from torch import Tensor, nn

from lottery.nets.initializers import image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least, choose

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # blocks (He et al. 2016, table 1)


def resnet(
    task: Shaped, *, depth: int, width: int, stem: str, init: str, bn_scale: str
) -> nn.Module:
    """Return four stages of basic blocks, `width`, 2, 4 and 8 times `width` channels wide.

    `stem` is `small`, a 3x3 convolution for images of about 32 or 64 pixels, or `imagenet`, the
    paper's 7x7 with stride 2 and max pool. Shortcuts are 1x1 convolutions (option B).
    """
    at_least(1, width=width)
    stages = choose(STAGES, depth, "model.depth")
    build = choose(STEMS, stem, "model.stem")
    channels, _, _ = image_shape(task.input_shape, "resnet")
    model = Resnet(build(channels, width), stages, width, task.outputs)
    initialize(model, init, bn_scale)
    return model


class SmallStem(nn.Module):
    """A 3x3 convolution that keeps the size."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class ImagenetStem(nn.Module):
    """A 7x7 convolution and a 3x3 max pool, each with stride 2."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.bn(self.conv(x))), 3, stride=2, padding=1)


STEMS: dict[str, type[SmallStem] | type[ImagenetStem]] = {
    "small": SmallStem,
    "imagenet": ImagenetStem,
}


class Shortcut(nn.Module):
    """Fit the shape by a 1x1 convolution and BatchNorm."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 1, stride, bias=False)
        self.bn = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Two 3x3 convolutions around which the input is added."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else Shortcut(before, after, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class Resnet(nn.Module):
    """Stem, stages, global average pool, `fc`."""

    def __init__(self, stem: nn.Module, stages: tuple[int, ...], width: int, outputs: int) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = nn.Sequential()
        before = width
        for stage, blocks in enumerate(stages):
            after = width * 2**stage
            for index in range(blocks):
                stride = 2 if stage and not index else 1
                self.blocks.append(Block(before, after, stride))
                before = after
        self.fc = nn.Linear(before, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))  # type: ignore[no-any-return]

"""Build the ResNets that He et al. made for CIFAR: 20, 32, 44, 56 and 110 layers."""

import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.nets.initializers import image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least, choose


def resnet_cifar(
    task: Shaped, *, depth: int, width: int, shortcut: str, init: str, bn_scale: str
) -> nn.Module:
    """Return three stages of (depth - 2) / 6 blocks, `width`, 2 and 4 times `width` channels wide.

    He et al. 2016, section 4.2. Where a block changes the shape, its shortcut is `conv` (1x1
    convolution and BatchNorm, as in OpenLTH) or `identity` (option A of the paper: every second
    pixel, zeros for the new channels; no weights). Raises UsageError for a depth not 6n+2.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise UsageError(
            f"model.depth: resnet_cifar has 6n+2 layers (20, 32, 44, 56, 110, ...), not {depth}; "
            f"type model.depth={6 * max(blocks, 1) + 2}"
        )
    at_least(1, width=width)
    shortcuts = choose(SHORTCUTS, shortcut, "model.shortcut")
    channels, _, _ = image_shape(task.input_shape, "resnet_cifar")
    model = ResnetCifar(channels, blocks, width, shortcuts, task.outputs)
    initialize(model, init, bn_scale)
    return model


class ConvShortcut(nn.Module):
    """Fit the shape by a 1x1 convolution and BatchNorm."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 1, stride, bias=False)
        self.bn = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))  # type: ignore[no-any-return]


class IdentityShortcut(nn.Module):
    """Fit the shape without weights: every `stride`-th pixel, zeros before and after the channels.

    Half of the zeros stand before the channels and half after, as is usual; the paper does not say.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        new = after - before
        self.padding = (0, 0, 0, 0, new // 2, new - new // 2)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], self.padding)


Shortcut = type[ConvShortcut] | type[IdentityShortcut]
SHORTCUTS: dict[str, Shortcut] = {"conv": ConvShortcut, "identity": IdentityShortcut}


class Block(nn.Module):
    """Two 3x3 convolutions around which the input is added."""

    def __init__(self, before: int, after: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else shortcut(before, after, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class ResnetCifar(nn.Module):
    """Stem, three stages of `blocks` blocks, global average pool, `fc`."""

    def __init__(
        self, channels: int, blocks: int, width: int, shortcut: Shortcut, outputs: int
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        stages = [(width, 1), (2 * width, 2), (4 * width, 2)]
        self.blocks = nn.Sequential()
        before = width
        for after, stride in stages:
            for index in range(blocks):
                self.blocks.append(Block(before, after, 1 if index else stride, shortcut))
                before = after
        self.fc = nn.Linear(before, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.bn(self.conv(x))))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]

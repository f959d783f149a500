"""Build wide residual networks: WRN-16-8, WRN-22-8, WRN-28-10."""

import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.nets.initializers import image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least


def wide_resnet(
    task: Shaped, *, depth: int, widen: int, dropout: float, init: str, bn_scale: str
) -> nn.Module:
    """Return three stages of (depth - 4) / 6 pre-activation blocks, 16, 32 and 64 x `widen` wide.

    Zagoruyko and Komodakis 2016, table 1. `dropout` is the share of activations dropped between
    the two convolutions of a block. Raises UsageError for a depth not 6n+4.
    """
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise UsageError(
            f"model.depth: wide_resnet has 6n+4 layers (16, 22, 28, 40, ...), not {depth}; "
            f"type model.depth={6 * max(blocks, 1) + 4}"
        )
    if not 0 <= dropout < 1:
        raise UsageError(f"model.dropout: {dropout} is not in [0, 1); type model.dropout=0.3")
    at_least(1, widen=widen)
    channels, _, _ = image_shape(task.input_shape, "wide_resnet")
    model = WideResnet(channels, blocks, widen, dropout, task.outputs)
    initialize(model, init, bn_scale)
    return model


class Block(nn.Module):
    """BatchNorm, ReLU, convolution, twice; a shortcut with weights starts after the first ReLU."""

    def __init__(self, before: int, after: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        same = before == after and stride == 1
        self.shortcut = None if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        out = F.relu(self.bn2(self.conv1(active)))
        out = self.conv2(self.dropout(out))
        return out + (x if self.shortcut is None else self.shortcut(active))  # type: ignore[no-any-return]


class WideResnet(nn.Module):
    """Stem, three stages of `blocks` blocks, BatchNorm, ReLU, global average pool, `fc`."""

    def __init__(
        self, channels: int, blocks: int, widen: int, dropout: float, outputs: int
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.blocks = nn.Sequential()
        before = 16
        for after, stride in [(16 * widen, 1), (32 * widen, 2), (64 * widen, 2)]:
            for index in range(blocks):
                self.blocks.append(Block(before, after, 1 if index else stride, dropout))
                before = after
        self.bn = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.blocks(self.conv(x))))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]

"""Build LeNet-5 as Caffe and SNIP know it."""

import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.nets.initializers import image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least

KERNEL = 5


def lenet5(task: Shaped, *, channels: list[int], hidden: int, padding: int, init: str) -> nn.Module:
    """Return two 5x5 convolutions, each with a ReLU and a 2x2 max pool, and two linear layers.

    [20, 50] and 500 are LeNet-5-Caffe of Lee et al. 2019 (SNIP), 430,500 weights on 1x28x28.
    Raises UsageError for an image on which the second convolution finds no room.
    """
    if len(channels) != 2:
        raise UsageError(
            f"model.channels: lenet5 has two convolutions, not {len(channels)}; type "
            "'model.channels=[20,50]'"
        )
    at_least(1, channels=min(channels), hidden=hidden)
    at_least(0, padding=padding)
    inputs, height, width = image_shape(task.input_shape, "lenet5")
    sides = [pooled(pooled(side, padding), padding) for side in (height, width)]
    if min(sides) < 1:
        raise UsageError(
            f"model: lenet5 cannot take images of {height}x{width}, because two 5x5 convolutions "
            f"and two pools with padding {padding} leave nothing of them; type model.padding=2"
        )
    model = Lenet5([inputs, *channels], padding, sides[0] * sides[1], hidden, task.outputs)
    initialize(model, init, bn_scale="ones")
    return model


def pooled(side: int, padding: int) -> int:
    """Return what one convolution and one pool leave of a side."""
    return (side + 2 * padding - KERNEL + 1) // 2


class Lenet5(nn.Module):
    """`channels` of the image and of the two convolutions; `area` of the last feature map."""

    def __init__(
        self, channels: list[int], padding: int, area: int, hidden: int, outputs: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels[0], channels[1], KERNEL, padding=padding)
        self.conv2 = nn.Conv2d(channels[1], channels[2], KERNEL, padding=padding)
        self.fc1 = nn.Linear(channels[2] * area, hidden)
        self.fc = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(F.relu(self.fc1(x.flatten(1))))  # type: ignore[no-any-return]

"""Build Conv-2, Conv-4 and Conv-6 of the lottery ticket paper."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from lottery.nets.initializers import image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least


def conv_net(task: Shaped, *, channels: list[int], hidden: list[int], init: str) -> nn.Module:
    """Return pairs of 3x3 convolutions, each pair followed by a 2x2 max pool, and linear layers.

    `channels` has an entry a pair. Frankle and Carbin 2019, figure 2. Deviation for tiny images:
    a pool that would shrink a side below 1 is left out.
    """
    at_least(1, channels=min(channels, default=0), hidden=min(hidden, default=1))
    shape = image_shape(task.input_shape, "conv_net")
    model = ConvNet(shape, channels, hidden, task.outputs)
    initialize(model, init, bn_scale="ones")
    return model


class ConvNet(nn.Module):
    """`shape` of an image [C, H, W]; the linear layers see the whole last feature map."""

    def __init__(
        self, shape: tuple[int, int, int], channels: list[int], hidden: list[int], outputs: int
    ) -> None:
        super().__init__()
        before, height, width = shape
        self.convs = nn.ModuleList()
        self.pools = 0
        for after in channels:
            self.convs += [nn.Conv2d(before, after, 3, padding=1)]
            self.convs += [nn.Conv2d(after, after, 3, padding=1)]
            before = after
            if min(height, width) >= 2:
                height, width, self.pools = height // 2, width // 2, self.pools + 1
        sizes = [before * height * width, *hidden]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.fc = nn.Linear(sizes[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        for index, conv in enumerate(self.convs):
            x = F.relu(conv(x))
            if index % 2 and index // 2 < self.pools:
                x = F.max_pool2d(x, 2)
        x = x.flatten(1)
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.fc(x)  # type: ignore[no-any-return]

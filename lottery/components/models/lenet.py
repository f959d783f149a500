"""Build a multilayer perceptron of the LeNet family."""

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from lottery.nets.initializers import initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least


def lenet(task: Shaped, *, hidden: list[int], init: str) -> nn.Module:
    """Return fully connected layers of the sizes in `hidden`, then the output layer `fc`.

    [300, 100] is LeNet-300-100 of LeCun et al. 1998; an empty list is logistic regression.
    Takes examples of any shape and flattens them.
    """
    at_least(1, hidden=min(hidden, default=1))
    model = Lenet(math.prod(task.input_shape), hidden, task.outputs)
    initialize(model, init, bn_scale="ones")
    return model


class Lenet(nn.Module):
    """Linear layers with a ReLU between them."""

    def __init__(self, inputs: int, hidden: list[int], outputs: int) -> None:
        super().__init__()
        sizes = [inputs, *hidden]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.fc = nn.Linear(sizes[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.fc(x)  # type: ignore[no-any-return]

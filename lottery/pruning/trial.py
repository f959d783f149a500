"""Stand between a criterion and its task: try it, follow a long one, settle the memory format."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lottery.terms.task import Batch, Task
from lottery.terms.task_checks import examples
from lottery.terms.trees import mapped

FEW = 4  # examples of a trial: enough for BatchNorm in each half of them
GRADIENTS = 8  # of a trial, one by another among them


class Enough(Exception):  # noqa: N818 (no error: it went as far as it was to go)
    """The criterion takes its settings, the net and the data: it need not go to its end."""


class Glimpse:
    """A task that gives a few examples a batch, and no second batch of training."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield the first examples of an epoch, then raise Enough."""
        for batch in self.task.batches(split, epoch, seed, start):
            yield self.task.cut(batch, 0, FEW)
            raise Enough

    def scoring_batches(self, generator: torch.Generator, **choice: Any) -> list[Batch]:
        """Return one batch of a few examples, whatever is asked, once the task has accepted it."""
        return [self.task.cut(examples(self.task, generator, **choice)[0], 0, FEW)]


class FewGradients(TorchFunctionMode):
    """Raise Enough where a criterion asks for more than so many gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.asked += func is torch.autograd.grad
        if self.asked > GRADIENTS:
            raise Enough
        return func(*args, **(kwargs or {}))


class Contiguous:
    """A task whose images lie in memory as torch lays them out by itself, however it trains.

    Convolutions add up in another order in channels-last, so a mask would follow the machine and
    `train.channels_last`, where its net is not trained yet and the authors' code scores it so.
    """

    channels_last = False

    def __init__(self, task: Task) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        for batch in self.task.batches(split, epoch, seed, start):
            yield mapped(batch, laid_out)

    def example(self, number: int) -> Batch:
        """Return the batch that the task makes up."""
        return mapped(self.task.example(number), laid_out)

    def scoring_batches(self, generator: torch.Generator, **choice: Any) -> list[Batch]:
        """Return the batches that a criterion asks for."""
        found = self.task.scoring_batches(generator, **choice)
        return [mapped(batch, laid_out) for batch in found]


def laid_out(tensor: Tensor) -> Tensor:
    """Return a copy of images in rows; `contiguous` would leave one channel as it is strided."""
    return tensor.clone(memory_format=torch.contiguous_format) if tensor.dim() == 4 else tensor

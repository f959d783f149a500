"""Take the batches of training through a net: the one place where a loss is made and derived."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from lottery.terms import seeds
from lottery.terms.task import Task
from lottery.terms.task_checks import batches as of_epoch


def passes(
    model: nn.Module,
    task: Task,
    seed: int,
    start: int,
    stop: int,
    precision: contextlib.AbstractContextManager[Any] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Yield each step from `start` to before `stop`, and its loss, when the gradients are there.

    They lie in the parameters' `grad`; `precision` is the context of the forward pass. Order,
    augmentation and dropout of a step are functions of (seed, step), so it does not matter where
    one starts.
    """
    precision = precision or contextlib.nullcontext()
    parameters = list(model.parameters())
    batches = None
    for step in range(start, stop):
        epoch, position = divmod(step, task.steps_per_epoch)
        if batches is None or position == 0:
            batches = of_epoch(task, epoch, seed, position)
        batch = next(batches)
        seeds.seed_global(seed, "dropout", step)
        with precision:
            loss = task.loss(model, batch)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        yield step, loss

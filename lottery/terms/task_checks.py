"""Hold a task to what it says: its verbs, its metrics, its numbers; in a line that names it."""

import inspect
import math
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any, Unpack

import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.terms.metric import LOSS, Metric
from lottery.terms.task import Batch, Picks, Task
from lottery.wording.text import some

PAIR = ("state", "restore")  # of a memory: a task has both or none


def check_task(task: object, dataset: str) -> None:
    """Raise UsageError for a task that lacks what every task has, or has something else there."""
    if hasattr(type(task), "__getattr__"):  # one that stands before another
        return
    head = f"dataset={dataset}: {whose(task)}"
    wanted = [name for name in vars(Task) if not name.startswith("_")]
    if any(hasattr(task, name) for name in PAIR):
        wanted += PAIR
    lacking = [name for name in wanted if inspect.getattr_static(task, name, wanted) is wanted]
    if lacking:
        raise UsageError(
            f"{head} has no {', no '.join(lacking)}; lottery.terms.task.Task says what each of "
            "them is"
        )
    check_metrics(task.metrics, head)  # type: ignore[attr-defined]
    chance = task.chance  # type: ignore[attr-defined]
    if chance is not None and (isinstance(chance, bool) or not isinstance(chance, Real)):
        raise UsageError(f"{head} gives a {kind(chance)} as chance, which is a number or None")
    for name in ("world", "fingerprint"):
        if not isinstance(value := getattr(task, name), str) or not value:
            raise UsageError(f"{head} gives {value!r:.40} as {name}, which is a word")


def check_metrics(metrics: object, head: str) -> None:
    """Raise UsageError unless these are metrics with names of their own."""
    several = isinstance(metrics, tuple | list) and bool(metrics)
    if not (several and all(isinstance(each, Metric) for each in metrics)):  # type: ignore[attr-defined]
        raise UsageError(
            f"{head} gives {metrics!r:.60} as metrics, which is a tuple of metrics, the first that "
            'of verdicts: metrics = (Metric("accuracy", unit="share"),), of lottery.terms.metric'
        )
    names = [LOSS.name, *(each.name for each in metrics)]  # type: ignore[attr-defined]
    for name in names[1:]:
        if names.count(name) > 1:
            besides = ", which every task has beside its metrics" if name == LOSS.name else " twice"
            raise UsageError(f"{head} has a metric named {name}{besides}; give it another name")


def check_prepared(task: object, dataset: str) -> None:
    """Raise UsageError unless a task on a device says how many steps an epoch has."""
    known = inspect.getattr_static(task, "steps_per_epoch", None) is not None
    number = task.steps_per_epoch if known else None  # type: ignore[attr-defined]
    if not isinstance(number, Integral) or number < 1:
        told = "no task" if task is None else f"a task whose steps_per_epoch is {number!r:.40}"
        raise UsageError(
            f"dataset={dataset}: prepare gives {told}; an epoch has one step or more, a whole "
            "number, so let it return a task, and train.batch_size be no larger than the data"
        )


def check_example(task: Task, number: int) -> Batch:
    """Return a made-up batch of so many examples; raises UsageError where it counts as others."""
    batch = task.example(number)
    head = f"dataset: {whose(task)}"
    for words, given, expected in (
        (f"example({number})", batch, number),
        (f"cut(example({number}), 0, 1)", task.cut(batch, 0, 1), 1),
    ):
        if (found := task.count(given)) != expected:
            raise UsageError(f"{head} counts {found!r:.40} examples in {words}, not {expected}")
        check_weight(task, given)
    return batch


def check_weight(task: Task, batch: Batch) -> None:
    """Raise UsageError for a batch over whose loss no mean can be taken."""
    weight = task.weight(batch)
    if not (math.isfinite(weight) and weight > 0):
        raise UsageError(
            f"dataset: {whose(task)} gives a batch the weight {weight!r:.40}; it is what the mean "
            "in its loss divides by, and above 0"
        )


def examples(task: Task, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
    """Return what a criterion looks at; raises UsageError where that is nothing."""
    batches = task.scoring_batches(generator, **picks)
    if not batches:
        raise UsageError(f"dataset: {whose(task)} gives no batch to score (scoring_batches)")
    for batch in batches:
        check_weight(task, batch)
    return batches


def check_loss(task: Task, loss: object) -> None:
    """Raise UsageError for a loss that is no scalar tensor."""
    if not isinstance(loss, Tensor) or loss.dim() or not loss.is_floating_point():
        raise UsageError(
            f"dataset: {whose(task)} gives a {kind(loss)} as loss, which is the mean over a batch, "
            "a tensor without axes; let it return the tensor itself, no .item(), and its mean()"
        )


def batches(task: Task, epoch: int, seed: int, start: int) -> Iterator[Batch]:
    """Yield the batches of an epoch of training from `start` on; raises UsageError for too few."""
    yield from task.batches("train", epoch, seed, start)
    raise UsageError(
        f"dataset: {whose(task)} has {task.steps_per_epoch} steps in an epoch (steps_per_epoch) "
        "and gives fewer batches; let one follow from the other"
    )


def measures(task: Task, found: object, split: str) -> dict[str, float]:
    """Return what was measured on a split, as floats.

    Raises UsageError for what is no number, and for a metric that is named and was not measured.
    """
    head = f"dataset: {whose(task)}, evaluating on {split},"
    if not isinstance(found, Mapping):
        raise UsageError(f"{head} gives a {kind(found)}, where a dict of numbers is wanted")
    lacking = [each.name for each in task.metrics if each.name not in found]
    if lacking:
        raise UsageError(
            f"{head} gives no {', no '.join(lacking)}, which its metrics name (it gives "
            f"{some(list(found)) or 'nothing'}); NaN stands for what is not known"
        )
    return {name: number(value, f"{head} gives {name}") for name, value in found.items()}


def number(value: object, told: str) -> float:
    """Return a number of Python, numpy or torch as a float; raises UsageError for others."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value.detach())
    if isinstance(value, Real):
        return float(value)
    raise UsageError(f"{told} as a {kind(value)}, where a number is wanted")


def whose(task: object) -> str:
    """Return in words whose task it is."""
    task = getattr(task, "task", task) if hasattr(type(task), "__getattr__") else task
    return f"its {type(task).__name__}"


def kind(value: Any) -> str:
    """Return the type of a value in words, of a tensor with its shape."""
    if isinstance(value, Tensor):
        return f"tensor of {list(value.shape)}"
    return type(value).__name__

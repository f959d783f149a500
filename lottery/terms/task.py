"""State what a runner may know of what there is to learn: a few verbs, and nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self, TypedDict, Unpack

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.terms.metric import Metric
from lottery.terms.trees import forms, mapped, tensors

Batch = Any  # a tree of tensors (tuple, list, dict); only its task opens it


class Picks(TypedDict, total=False):
    """What a criterion may ask for of the training examples; what is absent is 0 or false."""

    size: int  # examples of any class; 0 = all
    per_class: int  # examples of each class, in place of `size`
    batch: int  # examples a batch; 0 = that of training
    augment: bool  # change them as in training
    by_class: bool  # class by class, else mixed


def refuse_classes(picks: Picks, what: str) -> None:
    """Raise UsageError where a criterion asks for examples by class of what has none."""
    wanted = ((picks.get("per_class"), "per_class=0"), (picks.get("by_class"), "halves=false"))
    for asked, word in wanted:
        if asked:
            raise UsageError(f"prune.criterion: {what} no classes; type prune.criterion.{word}")


def zero_sum(device: torch.device) -> Tensor:
    """Return a scalar 0 to add losses to: float64 where the device has it (mps has not)."""
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return torch.zeros((), dtype=dtype, device=device)


class Task(Protocol):
    """What there is to learn. The runner stays blind to whether it is images, text or graphs.

    Beside these a task may have, for whoever needs it: `input_shape` and `outputs`, where a net
    gives scores [examples, outputs] for tensors of that shape (images); `vocabulary`, `features`;
    `state() -> dict of tensors` and `restore(state)`, where training's batches or loss depend on
    the steps before ({} begins anew); `signal(model)`, a tuple of inputs that are all ones, where
    `inputs` gives no floats; `free_axes`, those of each input that differ from batch to batch
    beside that of the examples (the length of padded lines), for exports; `files`, name -> bytes
    of what a net of it needs beside its weights, which an exported folder has; `measured_by`, by
    the name of a metric how it was measured, which run.json keeps.
    """

    @property
    def world(self) -> str:
        """What it is of: images, text, graphs, control, programs, logic."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What `evaluate` measures beside the loss; the first is that of verdicts and figures."""
        ...

    @property
    def chance(self) -> float | None:
        """The first metric's value without a net, by the training split; None = unknown."""
        ...

    @property
    def steps_per_epoch(self) -> int: ...

    @property
    def fingerprint(self) -> str:
        """The hash of the content of everything that batches, loss and evaluation depend on."""
        ...

    @property
    def device(self) -> torch.device: ...

    def size(self, split: str) -> int:
        """Return the number of examples of train, val or test; 0 where there is no such split."""
        ...

    def prepare(self, *, batch_size: int, device: torch.device) -> Self:
        """Return the task on a device, in batches.

        One that names `label_smoothing` or `channels_last` among its keywords is given what the
        training recipe says of them.
        """
        ...

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch from batch `start` on, in O(1); pure in (epoch, seed)."""
        ...

    def loss(self, model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
        """Return the mean training loss of a batch, a scalar; scores are divided by temperature."""
        ...

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return {"loss", and each metric by its name} over a split, in evaluation mode."""
        ...

    def scoring_batches(self, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
        """Return what a criterion looks at: training examples, drawn from `generator`.

        Which of them is drawn before how they are augmented. Raises UsageError for what it cannot.
        """
        ...

    def count(self, batch: Batch) -> int:
        """Return the number of examples, for cost and speed."""
        ...

    def weight(self, batch: Batch) -> int:
        """Return what the mean in `loss` divides by: examples, unpadded tokens, nodes."""
        ...

    def cut(self, batch: Batch, start: int, stop: int) -> Batch:
        """Return the examples of a batch from `start` to before `stop`."""
        ...

    def inputs(self, batch: Batch) -> tuple[Any, ...]:
        """Return what the model is called with: model(*inputs)."""
        ...

    def example(self, number: int) -> Batch:
        """Return a made-up batch of so many examples, always the same; touches no data."""
        ...


def remembered(task: Task) -> dict[str, Tensor]:
    """Return copies on the CPU of what a task remembers from step to step; {} for most."""
    state = getattr(task, "state", None)
    found = state() if state else {}
    if not isinstance(found, Mapping) or not all(isinstance(t, Tensor) for t in found.values()):
        raise UsageError(
            f"dataset: state() of its {type(task).__name__} gives {found!r:.60}, which is a dict "
            "of tensors, so that a checkpoint can hold it; let a number be torch.tensor(number)"
        )
    return {name: tensor.detach().cpu().clone() for name, tensor in found.items()}


def restore_(task: Task, state: Mapping[str, Tensor]) -> None:
    """Put a task's memory into a state, in place; {} lets it begin anew."""
    if restore := getattr(task, "restore", None):
        restore({name: tensor.to(task.device) for name, tensor in state.items()})


def made_up(task: Task, number: int, device: torch.device | None = None) -> tuple[Any, ...]:
    """Return what a model is called with for a made-up batch, on a device (default: the task's)."""
    given = task.inputs(task.example(number))
    return mapped(given, lambda t: t.to(device or task.device))  # type: ignore[no-any-return]


def ones(task: Task, model: nn.Module, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    """Return one example that is all ones: for a net of that type, on that device.

    Raises UsageError where the net is called with numbers of words, or of nodes, and the task has
    no signal in their place.
    """
    if signal := getattr(task, "signal", None):
        given = signal(model)
    else:
        given = task.inputs(task.example(1))
        if not all(t.is_floating_point() for t in tensors(given)):
            raise UsageError(
                f"a signal of ones cannot stand for inputs of {forms(given)}, and this dataset's "
                "task names none (signal)"
            )
    form = torch.contiguous_format  # however images lie in training
    return mapped(  # type: ignore[no-any-return]
        given, lambda t: torch.ones_like(t, dtype=dtype, device=device, memory_format=form)
    )


def takes(task: Task) -> dict[str, Any]:
    """Return, for descriptions, what a net of a task is called with and what it gives."""
    found: dict[str, Any] = {"world": task.world, "inputs": forms(task.inputs(task.example(1)))}
    if hasattr(task, "input_shape"):
        found["input_shape"] = list(task.input_shape)
    if hasattr(task, "outputs"):
        found["outputs"] = task.outputs
    return found


class Shaped(Task, Protocol):
    """A task whose net maps tensors [B, *input_shape] to scores [B, outputs]: images."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example, without the batch axis."""
        ...

    @property
    def outputs(self) -> int:
        """K, the width of the model's last layer."""
        ...

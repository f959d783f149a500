"""Hold the bound callables of one run, and the states that they pass around."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lottery.mask import Mask, Scores
from lottery.step import Span, Step
from lottery.task import Task

Criterion = Callable[[nn.Module, Mask, Task, torch.Generator], Scores]
Structure = Callable[[Scores, Mask], Scores]
Allocation = Callable[[Scores, Mask, float], Mask]


@dataclass(frozen=True)
class State:
    """A moment of training: step, the whole state_dict, and the optimizer's state where known."""

    step: Step
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor] | None = None


class States(Protocol):
    """Give the states of a run's training by name."""

    length: Step  # the end of training

    def __call__(self, at: str) -> State:
        """Return the state at a step, "end" of the parent level, "fresh" or "rewind".

        "fresh" is another draw of the initial weights; "rewind" what the run's rewind gives.
        """
        ...

    def step(self, at: str) -> Step:
        """Return the step that `at` names."""
        ...


@dataclass(frozen=True)
class Ticket:
    """What a level trains: weights at the rewind point (already masked), mask, span of steps."""

    weights: dict[str, Tensor]
    mask: Mask
    span: Span


@dataclass(frozen=True)
class Recipe:
    """How a level is trained; `settings` is the part of the config that all of it came from."""

    length: str
    batch_size: int
    optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
    lr: Callable[[Step, Step], float]
    warmup: str
    label_smoothing: float
    clip: float | None
    precision: str
    channels_last: str
    evaluate_every: str
    settings: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Pruning:
    """How a mask is made: a row of the method table."""

    criterion: Criterion
    structure: Structure
    allocation: Allocation
    at: str
    rounds: int
    path: str
    nested: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """All that one run is made of."""

    model: Callable[[Task], nn.Module]
    model_settings: dict[str, Any]
    dataset: Callable[..., Task]
    recipe: Recipe
    pruning: Pruning
    schedule: Callable[[int], float]
    rewind: Callable[[States], tuple[State, Span]]
    branches: dict[str, Callable[..., tuple[State, Mask, Span]]]
    branch_levels: tuple[int, ...] | None
    replicate: int
    levels: int

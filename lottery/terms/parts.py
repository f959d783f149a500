"""Hold the bound callables of one run, and the states that they pass around."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from lottery.terms.analysis import Finished, Rows
from lottery.terms.looks import Looks
from lottery.terms.mask import Mask, Scores
from lottery.terms.step import Span, Step
from lottery.terms.task import Task
from lottery.terms.ticket import State, States, Ticket
from lottery.terms.units import Units
from lottery.terms.until import Until

Criterion = Callable[[nn.Module, Mask, Task, torch.Generator, float], Scores]
Structure = Callable[[nn.Module, Task, Scores, Mask], Units]
Allocation = Callable[[Scores, Mask, float], Mask]
Named = list[tuple[str, nn.Parameter]]  # as torch's optimizers take them
Moment = Callable[[Looks], Step]
Update = Callable[[Mask, dict[str, nn.Parameter], Step, Step, int], Mask | None]


@dataclass(frozen=True)
class Recipe:
    """How a level is trained; `settings` is the part of the config that all of it came from."""

    length: str
    batch_size: int
    optimizer: Callable[[Named], torch.optim.Optimizer]
    lr: Callable[[Step, Step], float]
    warmup: str
    label_smoothing: float
    slimming: float
    clip: float | None
    precision: str
    channels_last: str
    evaluate_every: str
    on_nan: str
    settings: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Pruning:
    """How a mask is made: a row of the method table."""

    criterion: Criterion
    structure: Structure
    allocation: Allocation
    update: Update
    update_settings: dict[str, Any]
    at: str | Moment  # the step whose state is scored, or a rule that finds it
    rounds: int
    path: str
    nested: bool
    revive: bool
    exact: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """All that one run is made of."""

    model: Callable[[Task], nn.Module]
    model_settings: dict[str, Any]
    dataset: Callable[..., Task]
    dataset_name: str
    recipe: Recipe
    pruning: Pruning
    schedule: Callable[[int], float]
    rewind: Callable[[States], tuple[State, Span]]
    start: Callable[[nn.Module, Task], State]
    branches: dict[str, Callable[..., Ticket]]
    branch_settings: dict[str, str]  # as they stand in branches.csv
    branch_levels: tuple[int, ...] | None
    analyses: dict[str, Callable[[Finished], Rows]]
    analysis_settings: dict[str, str]  # as they stand in what it finds
    analysis_levels: tuple[int, ...] | None
    replicate: int
    levels: int
    code: dict[str, str] = field(default_factory=dict)  # component of another package -> `code_of`
    until: Until | None = None  # with it there are at most `levels`

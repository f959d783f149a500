"""Say what an analysis gets, a finished level or those of several runs, and returns: rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lottery.terms.mask import Mask
from lottery.terms.metric import Metric
from lottery.terms.step import Step
from lottery.terms.task import Task
from lottery.terms.ticket import State, Ticket

Row = dict[str, Any]  # column -> number or word
Rows = Mapping[str, Sequence[Row]]  # "" -> what people read; another word -> what stands behind it
# weights, a mask of all or some layers, the density of these -> the mask that a method makes
Pruner = Callable[[Mapping[str, Tensor], Mask, float], Mask]


class Finished(Protocol):
    """A trained level as an analysis sees it: tensors on the CPU, nets on the run's device.

    Whatever is random follows from `draw`; what is trained goes through the store.
    """

    @property
    def index(self) -> int: ...
    @property
    def task(self) -> Task: ...
    @property
    def metric(self) -> Metric:
        """What runs of this task are judged by."""
        ...

    @property
    def ticket(self) -> Ticket:
        """What the level was trained from."""
        ...

    @property
    def mask(self) -> Mask:
        """The mask that it ended with; of level 0 the dense one."""
        ...

    @property
    def end(self) -> State:
        """The state at the end of its training."""
        ...

    @property
    def dense(self) -> "Finished":
        """Level 0 of the same run."""
        ...

    def step(self, at: str) -> Step:
        """Return the step that `at` names, as 500it, 2ep or 0.1 do."""
        ...

    def state(self, step: Step) -> State:
        """Return the state of this level's training at a step; what nobody kept is replayed."""
        ...

    def control(self, branch: str) -> Ticket:
        """Return the ticket of a branch of this level, with the settings of its yaml.

        Raises UsageError for a name that is none, and for a branch that cannot be made of it.
        """
        ...

    def train(self, ticket: Ticket, word: str) -> State:
        """Return the end of a ticket's training, from the store or trained now.

        `word` tells it from what else the analysis trains of this level.
        """
        ...

    def net(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """Return the model with these weights, in evaluation mode."""
        ...

    def measure(self, net: nn.Module, split: str) -> dict[str, float]:
        """Return loss, metrics and `error` (`Metric.error_of`) of a net over a split."""
        ...

    def method(self, words: str) -> Pruner:
        """Return what makes masks as prune=NAME does, with its settings: "synflow+rounds:1".

        "own" is the run's method. Raises UsageError for words that are none.
        """
        ...

    def draw(self, *words: int | str) -> torch.Generator:
        """Return a generator for this replicate, level and analysis."""
        ...

    def advance(self, said: str) -> None:
        """Tell people what is being done."""
        ...

    def warn(self, said: str) -> None:
        """Warn people of what could not be found; said once a run."""
        ...


@dataclass(frozen=True)
class Reported:
    """A finished level as its run's tables tell of it, for analyses of several runs.

    Errors are those of the first metric (`Metric.error_of`) by split; NaN where there is none.
    """

    run: str  # NAME/ID/replicate_K
    config: str  # the id, which replicates share
    replicate: int  # from which all seeds follow
    level: int
    density: float
    kept: int
    total: int
    error: Mapping[str, float]
    dense: Mapping[str, float]  # of level 0 of the same run
    settings: Mapping[str, Any]  # that decide the run's numbers, with dotted keys
    key: str  # of the level in the store


class Levels(Protocol):
    """The finished levels of all runs that were named, run by run, from level 0 on."""

    def __iter__(self) -> Iterator[Reported]: ...
    def __len__(self) -> int: ...

    @property
    def metric(self) -> Metric:
        """What the runs are judged by."""
        ...

    def note(self, line: str) -> None:
        """Say something that a reader of the tables has to know."""
        ...

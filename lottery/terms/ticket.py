"""Hold what a level starts from: a state of the net, and a ticket."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.terms.mask import Mask, Scores
from lottery.terms.step import Span, Step
from lottery.terms.task import Task
from lottery.terms.units import Units

T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """A moment of training: step, the whole state_dict, and the optimizer's state where known.

    `mask` is the mask at that step where it moves during training, or what a ticket from
    elsewhere brings with its weights (a layer that it does not name is dense); else None. `memory`
    is what the task remembers of the steps before (`Task.state`); {} for most.
    """

    step: Step
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor] | None = None
    mask: Mask | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)
    source: dict[str, Any] | None = None  # what a start says of the file that it is from


class States(Protocol):
    """Give the states of a run's training by name, and what a branch may look at them with."""

    length: Step  # the end of training
    nested: bool  # whether the level before has pruned weights already
    replicate: int  # of this run

    @property
    def inherits(self) -> bool:
        """Whether the rewind gives weights of a level before that is pruned itself."""
        ...

    @property
    def data(self) -> str:
        """The fingerprint of the run's data."""
        ...

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        """All names of each parameter of the model, by the first."""
        ...

    @property
    def heads(self) -> Mapping[str, frozenset[int]] | None:
        """What of the model grows with the number of classes, and along which axes, if known."""
        ...

    @property
    def behind(self) -> Callable[[str], bool] | None:
        """Say of a name whether it stands behind the model's encoder, if the model tells."""
        ...

    def __call__(self, at: str) -> State:
        """Return the state at a step, "end" of the parent level, "scored", "fresh" or "rewind".

        "scored" is the state of the parent level whose mask this level has (prune.at).
        "fresh" is another draw of the initial weights of this level, "fresh:WORD" one more;
        "rewind" is what the run's rewind gives.
        """
        ...

    def other_init(self, at: str) -> State:
        """Return the state at a step of a dense net from another initialization.

        One for all levels and branches of a run, trained when a step after 0 is first asked for.
        """
        ...

    def step(self, at: str) -> Step:
        """Return the step that `at` names."""
        ...

    @property
    def task(self) -> Task: ...

    def net(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """Return the model with these weights, in evaluation mode."""
        ...

    def inputs(self, examples: int) -> Iterable[tuple[Any, ...]]:
        """Return what the model is called with for so many training examples, the same always."""
        ...

    def units(self, scores: Scores, mask: Mask) -> Units:
        """Return the units of a mask, by the structure that the run prunes with."""
        ...

    def inverted(self) -> Mask:
        """Return the mask of this level with the lowest scores kept in place of the highest."""
        ...

    def once(self, what: str, make: Callable[[], T]) -> T:
        """Return what `make` gives the first time, for the whole run: a file may change."""
        ...

    def warn(self, text: str) -> None:
        """Tell people what they would not expect."""
        ...


@dataclass(frozen=True)
class Ticket:
    """What a level trains: weights at the rewind point, mask, span of steps.

    `order` other than 0 is another order of the data; `frozen` names parameters that are not
    trained; with `held` the pruned weights keep the values that they have here, else they are 0.
    `memory` is what the task remembers at the start of the span.
    """

    weights: dict[str, Tensor]
    mask: Mask
    span: Span
    order: int = 0
    frozen: tuple[str, ...] = ()
    held: bool = False
    memory: dict[str, Tensor] = field(default_factory=dict)


def ticket_of(state: State, mask: Mask, span: Span, **variant: Any) -> Ticket:
    """Return a ticket of a state's weights; its pruned weights are 0.0 unless they are held."""
    weights = dict(state.weights)
    for name, keep in mask.items() if not variant.get("held") else ():
        weights[name] = weights[name].masked_fill(~keep, 0.0)
    return Ticket(weights, mask, span, memory=state.memory, **variant)


def unpruned(states: States, branch: str) -> State:
    """Return the rewound state, for a branch that needs weights at other positions as well.

    Raises UsageError where the rewind keeps the trained weights of a net that is pruned already,
    or gives those of a ticket.
    """
    state = states("rewind")
    if state.mask is not None:
        raise UsageError(
            f"branch {branch}: it needs weights at positions that the ticket has pruned; give it "
            "fresh ones (branch=[random] branches.random.weights=fresh), or leave it out "
            "(branch=[], sanity=false)"
        )
    if states.inherits:
        raise UsageError(
            f"branch {branch}: the rewind keeps weights of the level before, and those at other "
            "positions are pruned there; rewind to a step (rewind=init or step), or leave the "
            "branch out (branch=[], sanity=false)"
        )
    return state

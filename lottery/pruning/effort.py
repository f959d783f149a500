"""Note on a criterion how much it takes, for the cost of a ticket."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lottery.terms.mask import Scores

Criterion = TypeVar("Criterion", bound=Callable[..., Scores])


@dataclass(frozen=True)
class Effort:
    """What one round of a criterion takes beside what its settings say, for the cost of a ticket.

    A criterion with a setting `size` or `per_class` looks at such examples, one with `length`
    trains so long; each example costs `gradients`, a forward and a backward pass each, which may
    depend on the settings and the number of weights.
    """

    examples: int = 0  # that no setting names
    gradients: Callable[[Mapping[str, Any], int], float] = lambda settings, weights: 1


def takes(**effort: Any) -> Callable[[Criterion], Criterion]:
    """Note on a criterion how much it takes, where that is not the rule: see `Effort`."""

    def note(criterion: Criterion) -> Criterion:
        setattr(criterion, "effort", Effort(**effort))  # noqa: B010 (mypy knows no such name)
        return criterion

    return note


def effort_of(criterion: Any) -> Effort:
    """Return the effort of a criterion, bound or not."""
    return getattr(getattr(criterion, "func", criterion), "effort", Effort())

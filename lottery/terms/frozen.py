"""Say which parameters are BatchNorm's and which the output layer's, for what trains only those."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from lottery.errors import UsageError
from lottery.terms.ticket import States

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def parameters(weights: Mapping[str, Tensor]) -> set[str]:
    """Return the names of a state_dict that are no buffers of a BatchNorm."""
    return {name for name in weights if name.rpartition(".")[2] not in BUFFERS}


def norms(weights: Mapping[str, Tensor], branch: str) -> set[str]:
    """Return the scales and shifts of every BatchNorm; raises UsageError where there are none."""
    prefixes = {n.removesuffix("running_mean") for n in weights if n.endswith("running_mean")}
    found = {prefix + last for prefix in prefixes for last in ("weight", "bias")} & weights.keys()
    if not found:
        raise UsageError(
            f"branch {branch}: this model has no BatchNorm; choose another, like model=resnet20, "
            "or leave the branch out"
        )
    return found


def outputs(states: States, branch: str) -> set[str]:
    """Return the parameters of the output layer: what grows with the number of classes.

    Raises UsageError where that cannot be told.
    """
    if states.heads is None:
        raise UsageError(
            f"branch {branch}: it cannot be told which layer of this model makes the outputs; "
            "leave the branch out"
        )
    return set(states.heads)


def all_but(weights: Mapping[str, Tensor], trained: Iterable[str]) -> tuple[str, ...]:
    """Return the parameters that are frozen where only some are trained."""
    return tuple(sorted(parameters(weights) - {*trained}))

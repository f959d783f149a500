from dataclasses import replace

import torch

from lottery.errors import UsageError
from lottery.terms.ticket import States, Ticket


def bn_only(level: Ticket, states: States, generator: torch.Generator) -> Ticket:
    """Train only the scales and shifts of BatchNorm, every other parameter as it is.

    Frankle et al. 2021, "Training BatchNorm and Only BatchNorm", in a pruned net. Raises
    UsageError for a net that has none.
    """
    norms = {n.removesuffix("running_mean") for n in level.weights if n.endswith("running_mean")}
    trained = {prefix + last for prefix in norms for last in ("weight", "bias")}
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    parameters = {name for name in level.weights if name.rpartition(".")[2] not in buffers}
    if not trained & parameters:
        raise UsageError(
            "branch bn_only: this model has no BatchNorm; choose another, like model=resnet20, "
            "or leave the branch out"
        )
    return replace(level, frozen=tuple(sorted(parameters - trained)))

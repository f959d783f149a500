from collections.abc import Iterator
from typing import Unpack

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.pruning import scoring as look
from lottery.pruning.scoring import Probe, Scoring
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task

MOST = 20_000  # weights whose second derivatives are computed one by one


@look.takes(gradients=lambda given, weights: 1 + 2 * (given["probes"] or weights))  # Hv is 2
def obd(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    *,
    probes: int,
    double: bool,
    **scoring: Unpack[Scoring],
) -> Scores:
    """Score a weight by h w^2 / 2, h its second derivative of the loss (optimal brain damage).

    LeCun et al. 1990, eq. 5. They drop a term of h so that it is never negative; here h is the
    true diagonal of the Hessian, and a weight with h < 0 goes first. It is estimated as the mean
    of v (Hv) over `probes` draws of random signs v a batch (Hutchinson), or exactly with
    `probes` 0, at one Hessian-vector product a weight. Raises UsageError for that with more
    than 20,000 weights.
    """
    number = sum(m.numel() for m in mask.values())
    if probes < 0:
        raise UsageError(f"prune.criterion.probes: {probes} is below 0")
    if not probes and number > MOST:
        raise UsageError(
            f"prune.criterion.probes: 0 takes one product a weight, and {number:,} are more than "
            f"{MOST:,}; type prune.criterion.probes=100"
        )
    with look.probing(model, mask, task, generator, double=double, **scoring) as probe:
        every = range(len(probe.batches))
        parts = (
            estimated(probe, i, probes, generator) if probes else exact(probe, i) for i in every
        )
        diagonal = look.weighted(probe, parts)
        return look.narrow({name: w**2 * diagonal[name] / 2 for name, w in probe.held.items()})


def estimated(
    probe: Probe, index: int, probes: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the estimate of the Hessian's diagonal for a batch: the mean of v (Hv)."""
    slopes = look.gradients(probe, index, create_graph=True)
    total = {name: torch.zeros_like(w) for name, w in probe.held.items()}
    for number in range(probes):
        signs = {
            name: (torch.randint(0, 2, w.shape, generator=generator) * 2 - 1).to(w)
            for name, w in probe.held.items()
        }
        more = number < probes - 1
        curved = look.derive(look.dot(signs, slopes), probe.weights, retain_graph=more)
        for name in total:
            total[name] += signs[name] * curved[name] / probes
    return total


def exact(probe: Probe, index: int) -> dict[str, Tensor]:
    """Return the Hessian's diagonal for a batch, a weight at a time."""
    slopes = look.gradients(probe, index, create_graph=True)
    return {
        name: torch.stack(list(seconds(slope, probe.weights[name]))).view_as(slope)
        for name, slope in slopes.items()
    }


def seconds(slope: Tensor, weight: Tensor) -> Iterator[Tensor]:
    """Yield the derivative of each entry of a gradient by its own weight."""
    for place, entry in enumerate(slope.reshape(-1)):
        if not entry.requires_grad:  # the loss is at most linear in this layer, or knows it not
            yield torch.zeros_like(entry)
            continue
        found = look.derive(entry, {"": weight}, retain_graph=True)[""]
        yield found.reshape(-1)[place].detach()

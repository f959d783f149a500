from typing import Unpack

import torch
from torch import Tensor, nn

from lottery.pruning import scoring as look
from lottery.pruning.scoring import Probe, Scoring
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task


@look.takes(gradients=lambda given, weights: 3 if given["per_batch"] else 4)  # Hg counts as 2
def grasp(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    *,
    absolute: bool,
    invert: bool,
    per_batch: bool,
    halves: bool,
    reinit: str,
    double: bool,
    **scoring: Unpack[Scoring],
) -> Scores:
    """Score a weight by w (Hg): those go first whose removal most raises the norm of the gradient.

    Wang et al. 2020, eq. 8: S(-w) = -w (Hg), and the highest S are removed; what is returned is
    -S. g is the gradient of the mean loss by the kept weights that may be pruned, H its Jacobian.
    `absolute` returns |S| (Frankle et al. 2021, section 5), `invert` the negative of either.
    `per_batch` multiplies each batch's H by its own g instead of the mean g. `halves` puts the
    examples in class order and cuts them into two batches, as the authors' code does.
    """
    with look.probing(
        model, mask, task, generator, double=double, reinit=reinit, halves=halves, **scoring
    ) as probe:
        keep = {name: m.to(probe.held[name].device) for name, m in mask.items()}
        mean = None if per_batch else look.mean_gradients(probe)
        every = range(len(probe.batches))
        curved = look.weighted(probe, (times_hessian(probe, i, mean, keep) for i in every))
        scores = {name: w * curved[name] for name, w in probe.held.items()}
    if absolute:
        scores = {name: s.abs() for name, s in scores.items()}
    return look.narrow({name: -s if invert else s for name, s in scores.items()})


def times_hessian(
    probe: Probe, index: int, mean: dict[str, Tensor] | None, keep: Mask
) -> dict[str, Tensor]:
    """Return Hg of a batch, as the gradient of g_fixed . g; g is `mean` or the batch's own."""
    slopes = look.gradients(probe, index, create_graph=True)
    fixed = slopes if mean is None else mean
    fixed = {name: (g.detach() * keep[name]) for name, g in fixed.items()}
    product = look.dot(fixed, slopes)
    return look.derive(product, probe.weights)

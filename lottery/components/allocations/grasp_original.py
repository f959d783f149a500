import torch

from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores


def grasp_original(scores: Scores, mask: Mask, density: float) -> Mask:
    """Keep every weight whose score is at least the R-th lowest, R = int((1 - density) * n).

    The rule of the GraSP authors' code (Wang et al. 2020), which removes R - 1 weights, or fewer
    with ties; n counts all prunable weights. Weights that were pruned before count as removed.
    """
    kept = masks.flatten(mask, mask)
    flat = masks.flatten(scores, mask).masked_fill(~kept, -torch.inf)
    number = int((1 - density) * flat.numel())
    if number < 1:
        return {name: m.clone() for name, m in mask.items()}
    threshold = flat.kthvalue(number).values
    return {name: m & (scores[name] >= threshold) for name, m in mask.items()}

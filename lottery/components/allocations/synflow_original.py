from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores


def synflow_original(scores: Scores, mask: Mask, density: float) -> Mask:
    """Keep every weight whose score is above the k-th lowest, k = int((1 - density) * n).

    The rule of the SynFlow authors' code (Tanaka et al. 2020): n counts all prunable weights, a
    weight that was pruned before counts with a score of 0, and ties with the k-th all go, so it
    removes k or more. Where scores are negative a pruned weight counts as the lowest of them: in
    that code it would outrank kept ones and come back.
    """
    kept = masks.flatten(mask, mask)
    number = int((1 - density) * kept.numel())
    if number < 1 or not kept.any():
        return {name: m.clone() for name, m in mask.items()}
    flat = masks.flatten(scores, mask)
    flat = flat.masked_fill(~kept, min(0.0, float(flat[kept].min())))
    threshold = flat.kthvalue(number).values
    return {name: m & (scores[name] > threshold) for name, m in mask.items()}

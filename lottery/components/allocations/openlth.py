import math

from lottery.errors import UsageError
from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores


def openlth(scores: Scores, mask: Mask, density: float, *, fraction: float, ignored: int) -> Mask:
    """Keep the scores above the (k + 1)-th lowest of those left, k = ceil(fraction * left).

    The rule of OpenLTH's global magnitude pruning, whatever the density: it removes k + 1
    weights, and all that tie with the last of them. `ignored` weights of layers that are not
    pruned count among those left. Raises UsageError where it would remove all.
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"prune.allocation.fraction: {fraction} is outside 0 to 1")
    if ignored < 0:
        raise UsageError(f"prune.allocation.ignored: {ignored} is below 0")
    left = masks.flatten(scores, mask)[masks.flatten(mask, mask)]
    number = math.ceil(fraction * (left.numel() + ignored))
    if number >= left.numel():
        raise UsageError(
            f"prune.allocation: openlth would remove {number + 1} of the {left.numel()} weights "
            "left; ask for fewer levels"
        )
    threshold = left.kthvalue(number + 1).values
    return {name: m & (scores[name] > threshold) for name, m in mask.items()}

from lottery.pruning.keep import keep_top
from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores


def globally(scores: Scores, mask: Mask, density: float) -> Mask:
    """Keep the highest scores of the whole net, whatever that leaves of each layer."""
    return keep_top(scores, mask, masks.count(density, mask))

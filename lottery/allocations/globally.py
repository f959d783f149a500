from lottery import mask as masks
from lottery.mask import Mask, Scores


def globally(scores: Scores, mask: Mask, density: float) -> Mask:
    """Keep the highest scores of the whole net, whatever that leaves of each layer."""
    return masks.keep_top(scores, mask, masks.count(density, mask))

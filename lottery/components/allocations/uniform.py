from lottery.pruning.keep import apportion, keep_counts
from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores


def uniform(scores: Scores, mask: Mask, density: float) -> Mask:
    """Keep the same share of every layer, and the highest scores within it.

    Whole counts add up to round(density * total) exactly. A layer that is already below its
    share stays as it is, and the others make up for it.
    """
    sizes = {name: float(m.numel()) for name, m in mask.items()}
    left = {name: int(m.sum()) for name, m in mask.items()}
    counts = apportion(sizes, left, masks.count(density, mask))
    return keep_counts(scores, mask, counts)

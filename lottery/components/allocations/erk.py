from lottery.errors import UsageError
from lottery.pruning.keep import apportion, keep_counts
from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores


def erk(scores: Scores, mask: Mask, density: float) -> Mask:
    """Keep of each layer a share in proportion to sum(dims) / prod(dims) (Erdos-Renyi-Kernel).

    Evci et al. 2020 (RigL), appendix. A layer whose share would pass 1 is dense and the others'
    factor is solved again, so the net keeps round(density * total) exactly.
    Raises UsageError for whole units, whose layers have no such shape.
    """
    if any(m.dim() < 2 for m in mask.values()):
        raise UsageError(
            "prune.allocation: erk spreads by the shape of a layer's weights; with whole units "
            "choose prune/allocation=globally or uniform"
        )
    shares = {name: float(sum(m.shape)) for name, m in mask.items()}
    left = {name: int(m.sum()) for name, m in mask.items()}
    counts = apportion(shares, left, masks.count(density, mask))
    return keep_counts(scores, mask, counts)

from lottery.errors import UsageError
from lottery.pruning.keep import apportion, keep_counts
from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores, matches, some


def layerwise(scores: Scores, mask: Mask, density: float, *, rates: dict[str, float]) -> Mask:
    """Prune each layer of its own scores, at a rate that name patterns set against the others'.

    A layer whose rate is 0.5 loses half the share of its remaining weights that a layer of rate 1
    (the default) loses, as the output layer of LeNet in Frankle & Carbin 2019, section 2. The
    common share is solved for, so the whole net keeps round(density * total) exactly. Where
    a layer would lose more than it has, it is emptied and the others make up for it.
    """
    for pattern in rates:
        if not any(matches(name, [pattern]) for name in mask):
            raise UsageError(f"prune.allocation.rates: '{pattern}' fits no layer{some(mask)}")
    left = {name: int(m.sum()) for name, m in mask.items()}
    shares = {}
    for name in mask:
        rate = next((r for pattern, r in rates.items() if matches(name, [pattern])), 1.0)
        if rate < 0:
            raise UsageError(f"prune.allocation.rates: {rate} is below 0")
        shares[name] = rate * left[name]
    if not any(shares.values()):
        raise UsageError(
            "prune.allocation.rates: every layer's rate is 0, so nothing is pruned; give one of "
            "them a rate above 0, or type prune/allocation=globally"
        )
    frozen = sum(left[name] for name in mask if not shares[name])
    number = masks.count(density, mask)
    if number < frozen:
        raise UsageError(
            f"prune.allocation.rates: layers of rate 0 keep {frozen} weights, more "
            f"than the {number} of density {density:.6g}; give more layers a rate, or ask for "
            "fewer levels"
        )
    caps = {name: left[name] if shares[name] else 0 for name in mask}
    removed = apportion(shares, caps, sum(left.values()) - number)
    return keep_counts(scores, mask, {name: left[name] - removed[name] for name in mask})

"""Keep the highest scores: turn scores and a count into a mask, exactly."""

from collections.abc import Mapping

from lottery.pruning.selection import highest
from lottery.terms.mask import Mask, Scores


def keep_top(scores: Scores, mask: Mask, number: int) -> Mask:
    """Return the mask of the `number` highest scores among the kept; a tie keeps the lower index.

    The index runs through the layers in the mask's order. Scores of pruned entries are ignored.
    Raises DivergedError for a score that is not a number, ValueError for more than are kept.
    """
    chosen = highest([scores[name] for name in mask], list(mask.values()), number)
    return dict(zip(mask, chosen, strict=True))


def apportion(shares: Mapping[str, float], caps: Mapping[str, int], number: int) -> dict[str, int]:
    """Return whole counts near `shares` that sum to `number` and stay within [0, cap].

    Largest remainders are rounded up first, ties by order. What the caps cut off goes to the
    other layers in proportion to their shares. Raises ValueError where the caps sum to less.
    """
    if number > sum(caps.values()):
        raise ValueError(f"{number} weights asked, {sum(caps.values())} are left")
    ideal: dict[str, float] = {}
    free = list(shares)
    while True:
        # Round after round, a layer whose share is above its cap is filled and leaves the pool.
        rest = number - sum(ideal.values())
        weight = sum(shares[name] for name in free)
        scaled = {n: rest * shares[n] / weight if weight else rest / len(free) for n in free}
        full = [name for name in free if scaled[name] > caps[name]]
        if not full:
            ideal.update(scaled)
            break
        ideal.update({name: float(caps[name]) for name in full})
        free = [name for name in free if name not in full]
    counts = {name: min(int(ideal[name]), caps[name]) for name in shares}
    order = sorted(shares, key=lambda name: counts[name] - ideal[name])
    missing = number - sum(counts.values())
    while missing:
        for name in order:
            if missing and counts[name] < caps[name]:
                counts[name] += 1
                missing -= 1
    return counts


def keep_counts(scores: Scores, mask: Mask, counts: Mapping[str, int]) -> Mask:
    """Return the mask of the highest scores of each layer, `counts` of them, ties by index."""
    result: Mask = {}
    for name in mask:
        result |= keep_top({name: scores[name]}, {name: mask[name]}, counts[name])
    return result

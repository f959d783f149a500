from collections import deque

from lottery.errors import UsageError
from lottery.terms.looks import Looks, distance
from lottery.terms.mask import Mask
from lottery.terms.step import Step


def early_bird(looks: Looks, *, window: int, threshold: float, every: str, most: str) -> Step:
    """Find the first step whose mask is close to each of the `window` - 1 masks before it.

    Early-Bird tickets, You et al. 2020, section 3.2: a queue of 5 masks, one an epoch, and a ticket
    when the distances of the newest to all others are at most 0.1. Deviations: the distance is of
    weights, not of channels, so that any structure has one; and an epoch's mask is made at its end,
    where the authors' code makes it before the next. Where no step up to `most` is such a one, it
    is the last that was looked at, with a warning. Raises UsageError for a window that has no room.
    """
    steps = looks.steps(every, most)
    if not 2 <= window <= len(steps):
        few = len(steps) < 2
        typed = "prune.at.every=1it" if few else f"prune.at.window={min(5, len(steps))}"
        raise UsageError(
            f"prune.at: window={window} masks cannot be compared: there are {len(steps)}, one each "
            f"{every} up to {most}; type {typed} (a later prune.at.most and a shorter "
            "prune.at.every make more)"
        )
    if not 0 <= threshold <= 1:
        raise UsageError(
            f"prune.at: threshold={threshold:g} is no share of weights; type prune.at.threshold=0.1"
        )
    masks: deque[Mask] = deque(maxlen=window)
    for step in steps:
        masks.append(looks.mask(step))
        newest, nearest = masks[-1], 1.0
        if len(masks) == window:
            nearest = max(distance(newest, older) for older in list(masks)[:-1])
            if nearest <= threshold:
                return step
    looks.warn(
        f"prune.at: no {window} masks in a row were alike up to {most}: the last is {nearest:.3g} "
        f"from one before it, more than {threshold:g}; its mask is taken, of step {steps[-1]} "
        "(prune.at.threshold and prune.at.most decide)"
    )
    return steps[-1]

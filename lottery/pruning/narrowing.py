"""Store scores of any float type as float32, in the order that they had."""

import math

import torch

from lottery.errors import UsageError
from lottery.terms.mask import Scores

# Exponents of 2 between which scores are stored in float32: no denormals, and room for sums.
LOWEST, HIGHEST = -126, 100


def narrow(scores: Scores) -> Scores:
    """Return float32 scores in the order of the given ones, of which any may be zero.

    float64 scores too large or small for float32 are all multiplied by one power of 2. Only where
    they span more than float32 can hold (a factor of 10^67) do ranks stand for them. Two that
    agree to 7 digits may become a tie. Raises UsageError for a score that is not finite.
    """
    if not all(bool(s.isfinite().all()) for s in scores.values()):
        raise UsageError(
            "prune: the criterion gave a score that is not finite; the net has diverged, or type "
            "prune.criterion.double=true where the criterion has it"
        )
    if all(s.dtype == torch.float32 for s in scores.values()):
        return {name: s.detach() for name, s in scores.items()}
    sizes = [s.detach().abs() for s in scores.values() if s.numel()]
    largest = max((float(s.max()) for s in sizes), default=0.0)
    if not largest:
        return {name: torch.zeros_like(s, dtype=torch.float32) for name, s in scores.items()}
    smallest = min(float(s.masked_fill_(s == 0, torch.inf).min()) for s in sizes)
    high, low = math.frexp(largest)[1], math.frexp(smallest)[1] - 1
    shift = 0 if low >= LOWEST and high <= HIGHEST else HIGHEST - high
    if low + shift < LOWEST or shift > 1000:
        return ranks(scores)
    return {name: (s.detach() * 2.0**shift).float() for name, s in scores.items()}


def ranks(scores: Scores) -> Scores:
    """Return for each score a float32 in the same order, ties kept; up to 2 * 10^9 of them.

    The ranks are read as the bits of positive floats, which ascend with them.
    """
    flat = torch.cat([s.detach().reshape(-1) for s in scores.values()])
    place = torch.unique(flat, return_inverse=True)[1]
    bits = (place + 2**23).to(torch.int32).view(torch.float32)  # from the least normal float on
    pieces = torch.split(bits, [s.numel() for s in scores.values()])
    return {name: p.view(scores[name].shape) for name, p in zip(scores, pieces, strict=True)}

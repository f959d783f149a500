"""Find the highest of very many scores exactly, without sorting, joining or copying them.

Scores are read a piece at a time as integers of the same order, and the lowest score that is kept
is found digit by digit from the top (radix selection): a pass counts how often each value of the
next 16 bits occurs, two passes for float32 and four for float64. A last pass compares.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from lottery.errors import DivergedError

SIZE = 2**18  # scores looked at together: all that a thread holds beside scores and masks
DIGIT = 16  # bits that a pass settles
BINS = 2**DIGIT
NARROW = (torch.float32, torch.float16, torch.bfloat16)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Piece(NamedTuple):
    """A stretch of one layer, flat: scores, which of them are candidates, and the answer."""

    scores: Tensor
    keep: Tensor
    out: Tensor


def highest(
    scores: Sequence[Tensor], candidates: Sequence[Tensor], number: int, size: int = SIZE
) -> list[Tensor]:
    """Return bool tensors that are True at the `number` highest scores among the candidates.

    Of equal scores the lower index is taken, counted through the tensors in their order; -0.0
    equals 0.0. Scores of what is no candidate are ignored. Works on pieces of `size` scores, on as
    many threads as torch has; a tensor that is not contiguous is copied. Raises DivergedError for a
    score that is not a number, ValueError for more than there are candidates.
    """
    left = sum(int(c.count_nonzero()) for c in candidates)
    if number > left:
        raise ValueError(f"{number} weights asked, {left} are left")
    result = [torch.zeros(c.shape, dtype=torch.bool, device=c.device) for c in candidates]
    pieces = [
        Piece(*stretch)
        for layer in zip(scores, candidates, result, strict=True)
        for stretch in zip(*(torch.split(t.reshape(-1), size) for t in layer), strict=True)
    ]
    if any(spread(has_nan, pieces)):
        raise DivergedError("prune: the criterion gave a score that is not a number")
    if number == left:
        return [out.copy_(c) for out, c in zip(result, candidates, strict=True)]
    if number:
        bits = torch.int32 if all(s.dtype in NARROW for s in scores) else torch.int64
        write(pieces, *lowest_kept(pieces, number, bits), bits)
    return result


def has_nan(piece: Piece) -> bool:
    """Say whether the score of a candidate is not a number."""
    scores, keep, _ = piece
    if not len(scores) or not torch.isnan(scores.max()):  # the maximum is NaN where any is
        return False
    return bool(torch.isnan(scores).logical_and_(keep).any())


def lowest_kept(pieces: Sequence[Piece], number: int, bits: torch.dtype) -> tuple[int, int]:
    """Return the key above which all are kept, and how many of those that equal it."""
    top = torch.iinfo(bits).bits - DIGIT
    prefix, wanted = 0, number
    workers = min(torch.get_num_threads(), len(pieces))
    shares = [pieces[start::workers] for start in range(workers)]
    for shift in range(top, -1, -DIGIT):
        begun = None if shift == top else prefix
        parts = spread(partial(histogram, bits=bits, shift=shift, prefix=begun), shares)
        counts = torch.stack(parts).sum(0)
        at_least = counts.flip(0).cumsum(0).flip(0)
        digit = int((at_least >= wanted).count_nonzero()) - 1
        wanted -= int(at_least[digit] - counts[digit])
        prefix = digit - BINS // 2 if begun is None else (begun << DIGIT) + digit
    # Keys are integers, so where all equals are kept the key below needs no look at ties.
    return (prefix - 1, 0) if wanted == int(counts[digit]) else (prefix, wanted)


def histogram(pieces: Sequence[Piece], bits: torch.dtype, shift: int, prefix: int | None) -> Tensor:
    """Return how often each digit occurs at bit `shift` of the candidates' keys, [BINS].

    Only keys that begin with `prefix` count. Without one the digit is the first; it holds the sign.
    """
    counts = torch.zeros(BINS, dtype=torch.int64, device=pieces[0].scores.device)
    for scores, keep, _ in pieces:
        keys = keys_of(scores, bits)
        if prefix is None:  # what is no candidate goes to 0, where else only a NaN could be
            digits = (keys >> shift).add_(BINS // 2).mul_(keep)
        else:
            match = ((keys >> shift + DIGIT) == prefix).logical_and_(keep)
            digits = (pick(keys, match) >> shift).bitwise_and_(BINS - 1)
        counts += torch.bincount(digits, minlength=BINS)
    if prefix is None:
        counts[0] = 0
    return counts


def write(pieces: Sequence[Piece], threshold: int, ties: int, bits: torch.dtype) -> None:
    """Set `out` where the key is above the threshold, and at its first `ties` equals."""

    def above(piece: Piece) -> int:
        keys = keys_of(piece.scores, bits)
        torch.gt(keys, threshold, out=piece.out).logical_and_(piece.keep)
        return ties and int((keys == threshold).logical_and_(piece.keep).count_nonzero())

    def fill(piece: Piece, budget: int) -> None:
        equal = (keys_of(piece.scores, bits) == threshold).logical_and_(piece.keep)
        piece.out[torch.nonzero(equal).squeeze(1)[:budget]] = True

    found = spread(above, pieces)
    before = accumulate(found, initial=0)
    tied = [
        (piece, ties - begun)
        for piece, here, begun in zip(pieces, found, before)
        if here and begun < ties
    ]
    spread(lambda pair: fill(*pair), tied)


def pick(keys: Tensor, match: Tensor) -> Tensor:
    """Return the keys at `match`; by numpy where it can, which passes over the rest faster."""
    if keys.device.type != "cpu":
        return keys[match]
    return torch.from_numpy(keys.numpy()[match.numpy()])


def keys_of(scores: Tensor, bits: torch.dtype) -> Tensor:
    """Return an integer a score, larger for a larger score and 0 for both zeros; maybe a view."""
    wide = torch.float32 if bits == torch.int32 else torch.float64
    word = scores.to(wide).view(bits)
    if word.numel() and word.min() >= 0:
        return word
    sign = word >> torch.iinfo(bits).bits - 1  # 0, or -1, which has every bit set
    return word.bitwise_and(torch.iinfo(bits).max).bitwise_xor_(sign).sub_(sign)


def spread(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return the work on each item, done on torch's number of threads, an item on one of them.

    Python's threads rather than torch's own: those wait for each other after every operation, and
    on a machine with other work that takes several times as long.
    """
    threads = torch.get_num_threads()
    if len(items) < 2 or threads < 2:
        return [work(item) for item in items]
    torch.set_num_threads(1)  # what a new thread starts with
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)

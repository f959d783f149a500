import math

from lottery.errors import UsageError
from lottery.terms import mask as masks
from lottery.terms.analysis import Finished, Pruner, Row, Rows
from lottery.terms.mask import Mask


def collapse(level: Finished, *, methods: list[str], apart: float) -> Rows:
    """Return how far methods can prune a net before a layer is empty, beside how far one can.

    Tanaka et al. 2020, section 3: of N weights in L layers the `maximal` compression is N / L, a
    weight a layer; the `critical` one of a method the largest without an empty layer. It is found
    by bisection of the number of weights kept, until two numbers `apart` by that share enclose it:
    `critical` has no empty layer and `beyond`, which is NaN where nothing is, has the layers
    `empty`. `share` is log(critical) / log(maximal). The net is that which the ticket starts from,
    under its mask, and nothing is trained. A method that cannot be asked of a net gives NaN, which
    is said. Raises UsageError for a method that is none, and `apart` not above 0.
    """
    if not apart > 0:
        raise UsageError(
            f"analyses.collapse.apart={apart} is not above 0; type analyses.collapse.apart=0.02"
        )
    makers = {words: level.method(words) for words in dict.fromkeys(methods)}
    mask = {name: keep for name, keep in level.ticket.mask.items() if bool(keep.any())}
    number, layers = masks.kept(mask), len(mask)
    rows: list[Row] = []
    for words, make in makers.items():
        level.advance(f"compressions of {words}")
        row: Row = {"mask": words, "weights": number, "layers": layers, "maximal": number / layers}
        try:
            kept, below, empty = bisected(level, make, mask, apart)
        except UsageError as error:
            level.warn(f"collapse: prune={words} cannot be asked of this net: {error}")
            kept, below, empty = 0, 0, []
        row["critical"] = number / kept if kept else math.nan
        row["beyond"] = number / below if below else math.nan
        row["share"] = share(row["critical"], row["maximal"])
        row["empty"] = " ".join(name.removesuffix(".weight") for name in empty) or "none"
        rows.append(row)
    return {"": rows}


def bisected(
    level: Finished, make: Pruner, mask: Mask, apart: float
) -> tuple[int, int, list[str]]:
    """Return the fewest weights without an empty layer, the most with one, and the empty layers.

    A method that leaves no layer empty with a weight a layer has no number that is too few: 0.
    """
    total = masks.total(mask)
    low, high, empty = len(mask), masks.kept(mask), list[str]()

    def lost(number: int) -> list[str]:
        made = make(level.ticket.weights, mask, number / total)
        return [name for name, keep in made.items() if not bool(keep.any())]

    if low == high or not (empty := lost(low)):
        return low, 0, []
    while high - low > 1 and high / low > 1 + apart:
        middle = min(max(round(math.sqrt(low * high)), low + 1), high - 1)
        if found := lost(middle):
            low, empty = middle, found
        else:
            high = middle
    return high, low, empty


def share(critical: float, maximal: float) -> float:
    """Return which part of the way to the maximal compression a method goes, in logarithms."""
    return math.log(critical) / math.log(maximal) if maximal > 1 else math.nan

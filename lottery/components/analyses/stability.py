import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.terms.analysis import Finished, Row, Rows
from lottery.terms.mask import Mask
from lottery.terms.ticket import Ticket


def stability(level: Finished, *, controls: list[str], order: int) -> Rows:
    """Say how far pruning, and another order of the data, move where a ticket's training ends.

    Stability to pruning is the L2 distance of the ticket's trained weights to those of the trained
    dense net, under the mask; stability to data order that between two copies of the ticket
    (Frankle et al. 2019, "Stabilizing the Lottery Ticket Hypothesis", section 4). The angles, in
    degrees, are between the ways from the rewind point. Relative distances are shares of the norm
    of the dense net's weights under the mask. Controls, as a random mask of the same layer
    densities, are asked the same. Raises UsageError for order 0.
    """
    if order < 1:
        raise UsageError(
            f"analyses.stability.order={order} is the level's own; type analyses.stability.order=1"
        )
    dense = level.dense.end.weights
    asked: dict[str, Ticket] = {"ticket": level.ticket}
    asked |= {name: level.control(name) for name in dict.fromkeys(controls) if level.index}
    rows: list[Row] = []
    for name, ticket in asked.items():
        one = level.train(ticket, f"{name}_order_{ticket.order}").weights
        copy = replace(ticket, order=ticket.order + order)
        other = level.train(copy, f"{name}_order_{copy.order}").weights
        begun, mask = ticket.weights, ticket.mask
        size = norm(dense, mask)
        row: Row = {"mask": name, "step": ticket.span.start}
        for word, a, b in (("pruning", dense, one), ("order", other, one)):
            distance = norm(less(a, b, mask), mask)
            row |= {
                f"{word}_distance": distance,
                f"{word}_relative": distance / size if size else math.nan,
                f"{word}_angle": angle(less(a, begun, mask), less(b, begun, mask), mask),
            }
        rows.append(row)
    return {"": rows}


def less(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], mask: Mask
) -> dict[str, Tensor]:
    """Return the differences of two nets' masked weights, in float64."""
    return {name: one[name].double() - other[name].double() for name in mask}


def dot(one: Mapping[str, Tensor], other: Mapping[str, Tensor], mask: Mask) -> float:
    """Return the product of two nets' weights, summed where the mask keeps them."""
    parts = [(one[n].double() * other[n].double())[keep].sum() for n, keep in mask.items()]
    return float(torch.stack(parts).sum()) if parts else 0.0


def norm(weights: Mapping[str, Tensor], mask: Mask) -> float:
    """Return the L2 norm of the weights that a mask keeps."""
    return math.sqrt(dot(weights, weights, mask))


def angle(one: Mapping[str, Tensor], other: Mapping[str, Tensor], mask: Mask) -> float:
    """Return the angle between two vectors of kept weights in degrees; NaN where one is 0."""
    sizes = norm(one, mask), norm(other, mask)
    if not all(sizes):
        return math.nan
    a, b = ({n: v[n] / size for n in mask} for v, size in zip((one, other), sizes, strict=True))
    opposite = {name: -vector for name, vector in b.items()}
    apart, together = norm(less(a, b, mask), mask), norm(less(a, opposite, mask), mask)
    return math.degrees(2 * math.atan2(apart, together))  # exact near 0, unlike an arc cosine

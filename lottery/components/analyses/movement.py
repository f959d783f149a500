import math

import torch
from torch import Tensor

from lottery.terms.analysis import Finished, Row, Rows

WHOLE = "all"  # layers together


def movement(level: Finished) -> Rows:
    """Say how far the dense net's training moves the weights that a ticket keeps, and the others.

    A row a layer, and one of all: the mean of |change| from the ticket's rewind point to the end of
    level 0, that as a share of the mean |weight| at the rewind point, and the share of weights
    whose sign changes; of kept, of pruned weights, and of the kept ones in the ticket's own
    training (Frankle & Carbin 2019, appendix F; Zhou et al. 2019). Level 0 has no row; where a
    level begins at the end of the dense net nothing of that training is left, so that it is NaN.
    """
    if not level.index:
        return {"": []}
    ticket, dense = level.ticket, level.dense
    over = ticket.span.start >= dense.ticket.span.stop
    begun = dense.state(level.step(f"{ticket.span.start}it")).weights
    ended, own = dense.end.weights, level.end.weights
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {}
    rows: list[Row] = []
    for name, keep in ticket.mask.items():
        pairs = {
            "kept": (begun[name][keep], ended[name][keep]),
            "pruned": (begun[name][~keep], ended[name][~keep]),
            "ticket": (ticket.weights[name][keep], own[name][keep]),
        }
        for word, pair in pairs.items():
            parts.setdefault(word, []).append(pair)
        rows.append({"layer": name.removesuffix(".weight")} | moved(pairs))
    whole = {
        word: (torch.cat([a for a, _ in each]), torch.cat([b for _, b in each]))
        for word, each in parts.items()
    }
    rows.append({"layer": WHOLE} | moved(whole))
    if over:
        of_dense = [column for column in rows[0] if column.startswith(("kept_", "pruned_"))]
        rows = [row | dict.fromkeys(of_dense, math.nan) for row in rows]
    return {"": rows}


def moved(pairs: dict[str, tuple[Tensor, Tensor]]) -> Row:
    """Return how far weights have moved, from the first to the second of each pair."""
    found: Row = {}
    for word, (before, after) in pairs.items():
        one, other = before.double(), after.double()
        change, size = (other - one).abs().mean(), one.abs().mean()
        found |= {
            f"{word}_moved": float(change),
            f"{word}_moved_relative": float(change / size) if size else float("nan"),
            f"{word}_sign_changes": float((one * other < 0).double().mean()),
        }
    return found

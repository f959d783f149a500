import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.terms import mask as masks
from lottery.terms.analysis import Finished, Pruner, Row, Rows
from lottery.terms.mask import Mask

SPLITS = ("val", "test")


def layer_scan(
    level: Finished, *, method: str, densities: list[float], tolerance: float
) -> Rows:
    """Prune each layer of a trained net alone, without training it again: how much does it bear?

    Each layer is pruned by `method` to `densities`, shares of the weights that the level keeps in
    it, the others as they are. `tolerated` is the lowest of them, or 1, at which the error is at
    most `tolerance` above the net's own: on the validation split, or where there is none on the
    test split. In the row of all layers stand the net's own errors, and Spearman's rank
    correlation of `tolerated` with the layers' places in the model and with their sizes: below 0,
    deeper or larger layers bear more. It is NaN, and left out of the ranks, of a layer that is
    empty, where the net has no error, and where the method cannot be asked of the net, which is
    said. Every point is in the table layer_scan_points. Raises UsageError for densities outside
    (0, 1), a tolerance below 0, and a method that is none.
    """
    if not densities or not all(0 < density < 1 for density in densities):
        raise UsageError(
            f"analyses.layer_scan.densities={densities}: they are to lie between 0 and 1; type "
            "analyses.layer_scan.densities=[0.5,0.2,0.1]"
        )
    if not tolerance >= 0:
        raise UsageError(
            f"analyses.layer_scan.tolerance={tolerance} is below 0; type "
            "analyses.layer_scan.tolerance=0.01"
        )
    make = level.method(method)
    splits = [split for split in SPLITS if level.task.size(split)]
    if not splits:
        raise UsageError("analysis layer_scan: this data has neither a val nor a test split")
    if splits[0] != "val":
        level.warn(
            "layer_scan: there is no validation split, so what layers tolerate is judged by the "
            "test split; dataset.validation=N sets one apart"
        )
    level.advance(f"{len(level.mask)} layers at {len(densities)} densities")
    own = errors(level, {}, splits)
    rows: list[Row] = []
    points: list[Row] = []
    for depth, (name, keep) in enumerate(level.mask.items(), 1):
        said: Row = {"layer": name.removesuffix(".weight"), "depth": depth, "size": keep.numel()}
        known = bool(keep.any()) and not math.isnan(own[f"{splits[0]}_error"])
        best: Row = {"tolerated": 1.0 if known else math.nan, **own}
        for density in sorted(set(densities), reverse=True) if bool(keep.any()) else ():
            try:
                mask = alone(level, make, name, density)
            except UsageError as error:
                level.warn(f"layer_scan: prune={method} cannot be asked of this net: {error}")
                best["tolerated"] = math.nan
                break
            found = errors(level, mask, splits)
            points.append({**said, "layer_density": density, **found})
            if found[f"{splits[0]}_error"] <= own[f"{splits[0]}_error"] + tolerance:
                best = {"tolerated": density, **found}
        rows.append({**said, **best})
    ranks = {
        f"{of}_rank": spearman([row["tolerated"] for row in rows], [row[of] for row in rows])
        for of in ("depth", "size")
    }
    size = masks.total(level.mask)
    whole: Row = {"layer": "all", "depth": math.nan, "size": size, "tolerated": math.nan, **own}
    empty = dict.fromkeys(ranks, math.nan)
    return {"": [*({**row, **empty} for row in rows), {**whole, **ranks}], "points": points}


def alone(level: Finished, make: Pruner, name: str, density: float) -> Mask:
    """Return the mask of one layer at a share of what the level keeps in it: a weight at least."""
    keep = level.mask[name]
    number = max(1, round(density * int(keep.sum())))
    return make(level.end.weights, {name: keep}, number / keep.numel())


def errors(level: Finished, mask: Mask, splits: Sequence[str]) -> dict[str, float]:
    """Return the errors of the trained net with some layers pruned further."""
    weights: dict[str, Tensor] = dict(level.end.weights)
    for name, keep in mask.items():
        weights[name] = weights[name].masked_fill(~keep, 0.0)
    net = level.net(weights)
    return {f"{split}_error": level.measure(net, split)["error"] for split in splits}


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the rank correlation, of equal values the mean rank; NaN where one is constant.

    Pairs with a NaN do not count.
    """
    pairs = [pair for pair in zip(one, other, strict=True) if not any(map(math.isnan, pair))]
    a, b = ranked([x for x, _ in pairs]), ranked([y for _, y in pairs])
    a, b = a - a.mean(), b - b.mean()
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size else math.nan


def ranked(values: Sequence[float]) -> Tensor:
    """Return the rank of each value, from 1, of equal ones the mean."""
    v = torch.tensor(values, dtype=torch.float64)
    below, same = v[:, None] > v, v[:, None] == v
    return below.sum(1) + (same.sum(1) + 1) / 2.0

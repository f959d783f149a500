import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.terms import units
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task
from lottery.terms.units import Units


def block(
    model: nn.Module, task: Task, scores: Scores, mask: Mask, *, rows: int, columns: int, pool: str
) -> Units:
    """Remove blocks of `rows` outputs by `columns` inputs of a weight matrix (Gray et al. 2017).

    A convolution's matrix is [out, in * height * width], in the order of its memory. What is left
    over at the border of a matrix is a smaller block.
    """
    if min(rows, columns) < 1:
        raise UsageError(
            f"prune.structure: a block of {rows} by {columns} weights is none; type "
            "prune.structure.rows=4 prune.structure.columns=4"
        )
    pooled, alive, sizes = {}, {}, {}
    for name, keep in mask.items():
        parts, kept = (tiles(t, rows, columns) for t in (scores[name], keep))
        high, wide = parts.shape[:2]
        flat = [t.flatten(0, 1).flatten(1) for t in (parts, kept)]
        values, count = units.pool(
            [(torch.arange(high * wide), flat[0], flat[1])], high * wide, pool
        )
        pooled[name], alive[name] = values.view(high, wide), (count > 0).view(high, wide)
        sizes[name] = tiles(torch.ones_like(keep), rows, columns).flatten(2).sum(2)

    def spread(chosen: Mask) -> Mask:
        result = {}
        for name, keep in mask.items():
            shape = keep.flatten(1).shape
            whole = chosen[name].repeat_interleave(rows, 0).repeat_interleave(columns, 1)
            result[name] = keep & whole[: shape[0], : shape[1]].reshape(keep.shape)
        return result

    return Units(pooled, alive, spread, alike=sizes)


def tiles(values: Tensor, rows: int, columns: int) -> Tensor:
    """Return a weight cut in blocks [blocks down, blocks across, rows, columns], padded with 0."""
    matrix = values.flatten(1)
    high, wide = -(-matrix.shape[0] // rows), -(-matrix.shape[1] // columns)
    missing = (0, wide * columns - matrix.shape[1], 0, high * rows - matrix.shape[0])
    return F.pad(matrix, missing).view(high, rows, wide, columns).transpose(1, 2)

"""Say by how much two ways of computing one net may differ: by its own rounding in float32."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lottery.terms.trees import first, mapped

TIMES = 16  # as far apart as that error: another order of sums, other kernels
FIXED = 1e-5  # of the largest output, for a net that cannot be run in float64


def tolerance(
    fresh: Callable[[], nn.Module], inputs: Sequence[tuple[Any, ...]], outputs: Sequence[Tensor]
) -> float:
    """Return how far from `outputs` those of the same net may be that was put into another form.

    The net, of which `fresh` makes copies, is run in float32 and in float64, which differ by what
    rounding does to it: whatever sums cancel in it shows there. A net in another type rounds as
    much coarser or finer as that type is. At least some units in the last place of the largest
    output.
    """
    dtype = outputs[0].dtype
    last_place = torch.finfo(dtype).eps
    largest = max(float(each.abs().max()) for each in outputs)
    least = TIMES * last_place * largest
    try:
        wide, narrow = fresh().double(), fresh().float()
        error = max(
            float(
                (first(wide(*given(x, torch.float64))) - first(narrow(*given(x, torch.float32))))
                .abs()
                .max()
            )
            for x in inputs
        )
    except (RuntimeError, ValueError, TypeError):  # its code insists on types of its own
        return max(FIXED * max(1.0, largest), least)
    return max(TIMES * error * last_place / torch.finfo(torch.float32).eps, least)


def given(inputs: tuple[Any, ...], dtype: torch.dtype) -> Any:
    """Return inputs whose floats are of a type."""
    return mapped(inputs, lambda t: t.to(dtype) if t.is_floating_point() else t)

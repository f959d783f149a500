"""Say by how much two ways of computing one net may differ: by its own rounding in float32."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

TIMES = 16  # as far apart as that error: another order of sums, other kernels
FIXED = 1e-5  # of the largest output, for a net that cannot be run in float64


def tolerance(
    fresh: Callable[[], nn.Module], inputs: Sequence[Tensor], outputs: Sequence[Tensor]
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
        error = max(float((wide(x.double()) - narrow(x.float())).abs().max()) for x in inputs)
    except (RuntimeError, ValueError, TypeError):  # its code insists on types of its own
        return max(FIXED * max(1.0, largest), least)
    return max(TIMES * error * last_place / torch.finfo(torch.float32).eps, least)

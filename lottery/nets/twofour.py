"""Put linear layers whose masks are 2:4 into the form of NVIDIA's sparse tensor cores."""

import torch
from torch import Tensor, nn
from torch.sparse import to_sparse_semi_structured

from lottery.terms.copying import copied

ROWS, COLUMNS = 32, 64  # of which a weight of float16 has to be a multiple


def two_four(model: nn.Module) -> nn.Module | str:
    """Return a copy in float16 whose fitting linear layers are sparse, or why there is none.

    torch has such kernels for linear layers on GPUs of compute capability 8.0 and up; layers that
    do not fit, and convolutions, stay dense.
    """
    device = next(model.parameters()).device
    if device.type != "cuda":
        return f"its kernels need an NVIDIA GPU, and this is {device.type}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"{torch.cuda.get_device_name(device)} has no sparse tensor cores"
    net = copied(model).half()
    layers = [m for m in net.modules() if isinstance(m, nn.Linear) and fits(m.weight)]
    if not layers:
        return (
            "no linear layer keeps at most 2 of each 4 inputs and has a multiple of "
            f"{ROWS} outputs and {COLUMNS} inputs (prune/structure=n_m prunes so)"
        )
    for layer in layers:
        sparse = to_sparse_semi_structured(layer.weight.detach())
        layer.weight = nn.Parameter(sparse, requires_grad=False)
    return net


def fits(weight: Tensor) -> bool:
    """Say whether a weight [out, in] is 2:4 along its inputs, and of a size that kernels take."""
    rows, columns = weight.shape
    if rows % ROWS or columns % COLUMNS:
        return False
    return bool((weight.reshape(-1, 4) != 0).sum(1).le(2).all())

"""Say an optimizer's state as tensors with names, and whether tensors are finite."""

import torch
from torch import Tensor


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as "index/name" -> tensor."""
    return {
        f"{index}/{name}": torch.as_tensor(value).detach().cpu().clone()
        for index, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
        if value is not None
    }


def load_optimizer_(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `optimizer_tensors`, in place.

    What has a parameter's shape gets its memory format too: torch's fused kernels walk the bare
    memory, so a contiguous momentum beside a channels-last weight would land on other weights.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/", 1)
        state.setdefault(int(index), {})[name] = value.clone()  # torch would keep the very tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                entries[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def all_finite(tensors: dict[str, Tensor]) -> bool:
    """Say whether every number is finite; in one pass each, since an extreme of NaN is NaN."""
    floats = [t for t in tensors.values() if t.is_floating_point() and t.numel()]
    return all(bool(torch.stack(torch.aminmax(t)).isfinite().all()) for t in floats)

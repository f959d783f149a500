"""Let a weight get its first gradient at any step of SGD with momentum."""

from typing import Any

import torch
from torch import Tensor


class SGD(torch.optim.SGD):
    """SGD whose fused form takes weights that some steps do not use.

    torch's kernel fails where some weights have a momentum and others, whose first gradient comes
    later, have none yet. Such a one begins at 0, which gives the same numbers.
    """

    def _init_group(
        self, group: Any, params: Any, grads: Any, momentum_buffer_list: list[Tensor | None]
    ) -> bool:
        sparse = super()._init_group(group, params, grads, momentum_buffer_list)  # type: ignore[no-untyped-call]
        missing = [i for i, kept in enumerate(momentum_buffer_list) if kept is None]
        if len(missing) < len(momentum_buffer_list):
            for index in missing:
                momentum_buffer_list[index] = torch.zeros_like(params[index])
        return bool(sparse)

"""Copy a net, whatever its modules keep beside their parameters."""

import copy
from typing import Any, TypeVar

from torch import Tensor
from torch.overrides import TorchFunctionMode

T = TypeVar("T")


class Detached(TorchFunctionMode):
    """Let a deep copy hold the values of tensors that were computed, which torch refuses to copy.

    Activations that a module has kept are such, and weights that a hook makes of others.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            tensor, memo = args
            memo[id(tensor)] = tensor.detach().clone()
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def copied(net: T) -> T:
    """Return a deep copy of a net."""
    with Detached():
        return copy.deepcopy(net)

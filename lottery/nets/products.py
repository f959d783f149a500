"""Follow the weights of a net into the products that use them, whoever calls for those."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Products(TorchDispatchMode):
    """Tell `seen` of every operation below autograd, with the weight that it uses, if any.

    A weight is known by its memory, so views of it are it: transposed, cut in q, k and v, or tied.
    Made into another tensor by the net's code (weight standardisation) it is not.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.memory: dict[int, list[tuple[int, int, str]]] = {}
        for name, weight in weights.items():
            first = int(weight.storage_offset())
            place = (first, first + int(weight.numel()), name)
            self.memory.setdefault(weight.untyped_storage()._cdata, []).append(place)

    def seen(self, func: Any, args: tuple[Any, ...], made: Any, weight: str | None) -> None:
        """Take note of an operation and its result."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if torch.is_inference_mode_enabled():  # where a layer is not taken apart by itself
            with self:
                made = func.decompose(*args, **(kwargs or {}))
            if made is not NotImplemented:
                return made
        made = func(*args, **(kwargs or {}))
        names = (self.name_of(arg) for arg in args if isinstance(arg, Tensor))
        self.seen(func.overloadpacket, args, made, next((n for n in names if n), None))
        return made

    def name_of(self, tensor: Tensor) -> str | None:
        """Return the name of the weight that a tensor is, or is a view of."""
        places = self.memory.get(tensor.untyped_storage()._cdata, [])
        at = tensor.storage_offset()
        return next((name for first, last, name in places if first <= at < last), None)

"""Copy a net, whatever its modules keep beside their parameters, and load weights into it."""

import copy
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lottery.errors import UsageError

T = TypeVar("T", bound=nn.Module)

PLAIN = (Tensor, nn.Parameter)


class Detached(TorchFunctionMode):
    """Let a deep copy hold the values of tensors that were computed, which torch refuses to copy.

    Activations that a module has kept are such, weights that a hook makes of others, and what is
    left of a pass that followed its channels.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        tensor, *rest = args or (None,)
        if func is Tensor.__deepcopy__ and not (tensor.is_leaf and type(tensor) in PLAIN):
            with torch._C.DisableTorchFunctionSubclass():
                rest[0][id(tensor)] = tensor.detach().as_subclass(Tensor).clone()
            return rest[0][id(tensor)]
        return func(*args, **(kwargs or {}))


def copied(net: T) -> T:
    """Return a deep copy of a net.

    What Python cannot copy (a lock, a file, a generator) the copy shares with the net. Raises
    UsageError for a net that refuses.
    """
    shared: dict[int, Any] = {}
    with Detached(), torch.no_grad():
        try:
            made = copy.deepcopy(net, shared)
        except Exception:  # noqa: BLE001 (whatever a class of somebody else's may raise)
            shared = {id(value): value for value in uncopyable(net)}
            try:
                made = copy.deepcopy(net, shared)
            except Exception as error:  # noqa: BLE001
                raise UsageError(
                    f"model: it cannot be copied ({type(error).__name__}: {error}), and what looks "
                    "at a net works on a copy; leave out __deepcopy__ and __reduce__"
                ) from error
    for p, q in zip(net.parameters(), made.parameters(), strict=True):
        q.requires_grad_(p.requires_grad)  # TorchScript's copies forget it
    for old, new in zip(net.modules(), made.modules(), strict=True):
        for name in slots(type(old)):
            if hasattr(old, name):
                setattr(new, name, getattr(old, name))
    return made


def uncopyable(net: nn.Module) -> Iterator[object]:
    """Yield what the modules of a net keep that cannot be copied, in lists and dicts as well."""
    own = {key for key in vars(nn.Module()) if key.startswith("_")}
    for module in net.modules():
        yield from refusing(value for key, value in vars(module).items() if key not in own)


def refusing(values: Iterable[object]) -> Iterator[object]:
    """Yield the values that cannot be copied; of a container, those inside."""
    for value in values:
        try:
            copy.deepcopy(value)
        except Exception:  # noqa: BLE001
            inside = value.values() if isinstance(value, dict) else value
            if isinstance(inside, (list, tuple, set)) or isinstance(value, dict):
                yield from refusing(inside)  # type: ignore[arg-type]
            else:
                yield value


def slots(kind: type) -> Iterator[str]:
    """Yield the names of a class's __slots__, which torch leaves out of a copy of a module."""
    for each in kind.__mro__:
        names = each.__dict__.get("__slots__", ())
        yield from [names] if isinstance(names, str) else names


def load_(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load a whole state_dict into a net, in place.

    Modules that changed form between versions (BatchNorm, torchvision's MNASNet) ask which one it
    is of; tensors alone do not say, and are of this version.
    """
    state = OrderedDict(weights)
    state._metadata = net.state_dict()._metadata  # type: ignore[attr-defined]
    net.load_state_dict(state)

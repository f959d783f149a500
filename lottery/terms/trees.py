"""Walk through what a task or a net hands over: tensors, alone or in tuples, lists and dicts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


def tensors(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors of a tree, in its order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors(value)
    elif isinstance(tree, (tuple, list)):
        for value in tree:
            yield from tensors(value)
    elif is_dataclass(tree) and not isinstance(tree, type):
        for field in fields(tree):
            yield from tensors(getattr(tree, field.name))


def form(tensor: Tensor) -> str:
    """Return type and shape in words."""
    shape = "x".join(map(str, tensor.shape)) or "1"
    return f"{str(tensor.dtype).removeprefix('torch.')} {shape}"


def mapped(tree: Any, change: Callable[[Tensor], Any]) -> Any:
    """Return a tree of the same form with each tensor changed; what is none stays."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {key: mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(mapped(value, change) for value in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(mapped(value, change) for value in tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        return replace(
            tree, **{f.name: mapped(getattr(tree, f.name), change) for f in fields(tree)}
        )
    return tree


def first(tree: Any) -> Any:
    """Return the scores of what a forward gave: what is named logits, or the first of several.

    What has neither stays as it is.
    """
    if isinstance(tree, Tensor):
        return tree
    if isinstance(tree, Mapping):
        found = tree.get("logits")
    else:
        found = getattr(tree, "logits", None)
        if found is None and isinstance(tree, (tuple, list)) and tree:
            found = tree[0]
    return found if isinstance(found, Tensor) else tree


def forms(tree: Any) -> str:
    """Return in words which tensors a tree has: float32 [2, 1, 28, 28], int64 [2]."""
    found = (f"{str(t.dtype).removeprefix('torch.')} {list(t.shape)}" for t in tensors(tree))
    return ", ".join(found) or "no tensor"

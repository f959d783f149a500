"""Study sparse neural networks: train, prune, rewind, repeat."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lottery.tidy import load as load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]
DOORS = {"load": "lottery.tidy"}  # name -> where it is; opened when asked for, so help needs none


def __getattr__(name: str) -> Any:
    """Import what users of Python ask for when they ask for it."""
    import importlib

    if name not in DOORS:
        raise AttributeError(f"module 'lottery' has no attribute '{name}'")
    return getattr(importlib.import_module(DOORS[name]), name)

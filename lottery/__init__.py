"""Study sparse neural networks: train, prune, rewind, repeat."""

from typing import TYPE_CHECKING, Any

from lottery.machine.version import __version__

if TYPE_CHECKING:
    from lottery.exchange.finding import keep_masked as keep_masked
    from lottery.exchange.finding import load_ticket as load_ticket
    from lottery.experiment.notebook import run as run
    from lottery.results.plotting.drawing import draw as draw
    from lottery.results.tidy import load as load

__all__ = ["__version__", "draw", "load", "run", "load_ticket", "keep_masked"]
DOORS = {
    "draw": "lottery.results.plotting.drawing",
    "load": "lottery.results.tidy",
    "run": "lottery.experiment.notebook",
    "load_ticket": "lottery.exchange.finding",
    "keep_masked": "lottery.exchange.finding",
}  # name -> where it is; opened when asked for, so help needs none


def __dir__() -> list[str]:
    """Return the names of the API, so that they can be completed."""
    return __all__


def __getattr__(name: str) -> Any:
    """Import what users of Python ask for when they ask for it."""
    import importlib

    if name not in DOORS:
        raise AttributeError(f"module 'lottery' has no attribute '{name}'")
    return getattr(importlib.import_module(DOORS[name]), name)

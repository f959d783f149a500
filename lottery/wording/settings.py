"""Say which setting an error of a component is about."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from lottery.errors import UsageError
from lottery.wording.spelling import nearest
from lottery.wording.text import first_line

K = TypeVar("K", str, int)
V = TypeVar("V")
MACHINE = "use_deterministic_algorithms"  # what `machine.environment.explaining` puts into words
FEW = 12  # a list of names longer than this is not printed whole


@contextlib.contextmanager
def named(setting: str) -> Iterator[None]:
    """Let an error of a component say, in one line, which setting it is about."""
    try:
        yield
    except UsageError as error:
        text = str(error)
        raise UsageError(text if text.startswith(setting) else f"{setting}: {text}") from error
    except (ValueError, IndexError, TypeError, RuntimeError, ArithmeticError) as error:
        if MACHINE in str(error):
            raise
        raise UsageError(f"{setting}: {first_line(error)}") from error


def choose(options: Mapping[K, V], name: K, setting: str) -> V:
    """Return the option of that name; raise UsageError with the names that there are."""
    if name in options:
        return options[name]
    raise UsageError(f"{setting}: there is no {name!r}; {hint(options, str(name))}")


def hint(options: Iterable[str | int], name: str) -> str:
    """Return what a person who typed `name` may have meant, and the names where they are few."""
    names = [str(option) for option in options]
    near = nearest(name, names, most=1)
    guess = f"did you mean {' or '.join(near)}?" if near else ""
    known = f"choose from {', '.join(names[:FEW])}" + (", ..." if len(names) > FEW else "")
    return guess if near and len(names) > FEW else f"{guess} {known}".strip()


def at_least(least: float, **settings: float) -> None:
    """Raise UsageError for a setting of the model that is smaller than `least`."""
    for name, value in settings.items():
        if value < least:
            raise UsageError(f"model.{name}: {value} is too small; give {least} or more")

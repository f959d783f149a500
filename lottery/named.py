"""Say which setting an error of a component is about."""

import contextlib
from collections.abc import Iterator

from lottery.errors import UsageError


@contextlib.contextmanager
def named(setting: str) -> Iterator[None]:
    """Let an error of a component say, in one line, which setting it is about."""
    try:
        yield
    except UsageError as error:
        text = str(error)
        raise UsageError(text if text.startswith(setting) else f"{setting}: {text}") from error
    except (ValueError, IndexError, TypeError, RuntimeError, ArithmeticError) as error:
        raise UsageError(f"{setting}: {first_of(error)}") from error


def first_of(error: Exception) -> str:
    """Return the first line of what an error says; its kind where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)

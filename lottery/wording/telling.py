"""Tell people, whatever becomes of the pipe, the disk or the terminal that they listen at.

What is only told never costs a run: inside `kept` no print, warning or bar fails. What could not be
written is dropped, and the first reason for it is kept.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

STANDARD = (0, 1, 2)


class Told:
    """A stream to people that never fails; `lost` is the first error, None while they hear.

    `owned`: the process is ours, and what is behind a stream that failed becomes the null device.
    Else Python would try once more at its end, complain, and exit with 120.
    """

    def __init__(self, stream: Any, owned: bool) -> None:
        self._stream, self._owned = stream, owned
        self.lost: Exception | None = None

    def write(self, text: str) -> int:
        """Write what can be written; letters that a terminal has not (LC_ALL=C) are spelled out."""
        try:
            self._try(lambda: self._stream.write(text))
        except UnicodeEncodeError:
            code = self._stream.encoding
            plain = text.encode(code, "backslashreplace").decode(code)
            self._try(lambda: self._stream.write(plain))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write what can be written of several lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand over what was written, where somebody takes it."""
        self._try(self._stream.flush)

    def _try(self, do: Callable[[], object]) -> None:
        try:
            do()
        except OSError as error:
            self._give_up(error)
        except ValueError as error:  # of a stream that somebody has closed
            if not getattr(self._stream, "closed", False):
                raise
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.lost = self.lost or error
        if self._owned:
            with contextlib.suppress(OSError, ValueError):  # a stream without a file, of a test say
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def kept(owned: bool = False) -> Iterator[None]:
    """Let nothing that is told to people fail; `owned` where the process is ours from its start."""
    if owned:
        open_standard()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (told(stream, owned) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def told(stream: Any, owned: bool) -> Any:
    """Return a stream that never fails in place of one that may be None, or fail."""
    if stream is None or isinstance(stream, Told):
        return stream or io.StringIO()
    return Told(stream, owned)


def open_standard() -> None:
    """Open the null device where the shell has closed stdin, stdout or stderr (>&-).

    Else the next file that is opened, a checkpoint say, would take that number, and with it all
    that a library writes there for people.
    """
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def lost() -> OSError | None:
    """Return why what was printed could not be written; None where all of it could.

    Who closes a pipe has heard enough, and who closes stdout wants to hear nothing.
    """
    error = unheard()
    wanted = isinstance(error, OSError) and error.errno not in (errno.EPIPE, errno.EBADF)
    return error if isinstance(error, OSError) and wanted else None


def unheard() -> Exception | None:
    """Return why nobody hears any more what is printed; None where somebody may."""
    sys.stdout.flush()
    return sys.stdout.lost if isinstance(sys.stdout, Told) else None

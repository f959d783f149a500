"""Tell an error in a component of somebody else's from one of ours, and where it stands."""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from typing import Any

from lottery.config import packages
from lottery.config.defaults import PACKAGE
from lottery.errors import LotteryError, UsageError
from lottery.wording.text import near

DISK = {errno.ENOSPC, errno.EIO, errno.EDQUOT}  # the disk's, whoever writes
RETURNED: dict[
    str, tuple[str, Callable[[Any], bool]]
] = {  # kind -> what it returns, and how that is seen
    "model": ("a torch.nn.Module", lambda found: hasattr(found, "named_parameters")),
    "dataset": ("a task (lottery.terms.task.Task)", lambda found: hasattr(found, "fingerprint")),
    "criterion": ("a tensor of scores for each layer", lambda found: isinstance(found, Mapping)),
    "allocation": ("a mask", lambda found: isinstance(found, Mapping)),
    "schedule": ("a density", lambda found: isinstance(found, Real)),
    "rewind": ("a state and a span", lambda found: isinstance(found, tuple) and len(found) == 2),
    "start": ("a state (lottery.terms.ticket.State)", lambda found: hasattr(found, "weights")),
    "optimizer": ("a torch.optim.Optimizer", lambda found: hasattr(found, "param_groups")),
    "structure": ("units (lottery.terms.units.Units)", lambda found: hasattr(found, "whole")),
    "update": ("a mask or None", lambda found: found is None or isinstance(found, Mapping)),
    "moment": ("a step", lambda found: hasattr(found, "iteration")),
    "lr": ("a factor of the learning rate", lambda found: hasattr(found, "__float__")),
    "branch": (
        "a ticket (lottery.terms.ticket.Ticket)",
        lambda found: hasattr(found, "mask") and hasattr(found, "span"),
    ),
    "figure": (
        "a matplotlib figure and a pandas table",
        lambda found: (
            isinstance(found, tuple)
            and len(found) == 2
            and hasattr(found[0], "savefig")
            and hasattr(found[1], "to_csv")
        ),
    ),
    "log": (
        "a board, with write and close",
        lambda found: hasattr(found, "write") and hasattr(found, "close"),
    ),
}
MEMORY = (
    "the memory of this machine does not suffice; lottery plan with the same words says what a "
    "step needs, and a smaller train.batch_size needs less"
)
HOMELESS = (
    "~ stands for nothing here, since this user has no home folder; type the path in full, or "
    "export HOME=DIR"
)


GONE = re.compile(r"No module named '(lottery\.[.\w]+)'|cannot import name '(\w+)' from 'lottery\b")
NAMED = re.compile(r", line \d+|\.py:\d+")  # of an error that says where it was raised
REMOTE = "Original Traceback"  # of a process of torch's data loader, in the text of its error
ELSEWHERE = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
RENAMED = {  # folders of ours that are called otherwise now
    "pixels": "tasks.images", "watching": "progress", "looking": "results", "foresight": "planning",
}  # fmt: skip


class ExitError(UsageError, RuntimeError):
    """A component called sys.exit."""


def in_words(error: Exception) -> Exception:
    """Return a UsageError, with file and line, for an error in a component of somebody else's.

    One for memory that does not suffice, too, and for a ~ that stands for nothing. One of ours that
    says what somebody else's code raised is given the file and the line of that. Any other is
    returned as it is: errors of the disk, and bugs.
    """
    homeless = isinstance(error, RuntimeError) and "home directory" in str(error)  # of pathlib
    if homeless or lacks_memory(error):
        told = UsageError(HOMELESS if homeless else MEMORY)
        told.__cause__ = error
        return told
    if isinstance(error, LotteryError):
        return placed(error)
    if isinstance(error, OSError) and error.errno in DISK:
        return error
    if (there := whence(error)) is None:
        return error
    told = UsageError(f"{there}: {said(error)}")
    told.__cause__ = error
    return told


def placed(error: LotteryError) -> LotteryError:
    """Add to an error of ours where somebody else's code raised what it is about, in place."""
    cause = error.__cause__
    while cause is not None and not NAMED.search(str(error)):
        if not isinstance(cause, LotteryError) and (there := whence(cause)):
            error.args = (f"{error} ({there}: {type(cause).__name__})", *error.args[1:])
        cause = cause.__cause__
    return error


def reason(error: Exception) -> str:
    """Return in a line why a look at somebody else's net or board failed, and where."""
    there = whence(error)
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return f"{there}: {said(error)}" if there else first


def whence(error: BaseException) -> str | None:
    """Return where in somebody else's package an error was raised; None where in none."""
    theirs = {
        each.module.partition(".")[0]
        for each in packages.readable()
        if each.group.startswith("lottery.")
    }
    found, trace = None, error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        made = frame.f_code.co_filename.startswith("<")  # by a dataclass, say: no line to look at
        if not made and str(frame.f_globals.get("__name__")).partition(".")[0] in theirs:
            found = (frame.f_code.co_filename, trace.tb_lineno, frame.f_code.co_name)
        trace = trace.tb_next
    if found is None:
        return None
    file, line, name = told_elsewhere(error) or found
    return f"{near(file)}, line {line}, in {name}"


def told_elsewhere(error: BaseException) -> tuple[str, int, str] | None:
    """Return file, line and function of what torch's data loader says of another process."""
    torch = f"{os.sep}torch{os.sep}"
    places = ELSEWHERE.findall(str(error)) if REMOTE in str(error) else []
    own = [(file, int(line), name) for file, line, name in places if torch not in file]
    return own[-1] if own else None


def lacks_memory(error: BaseException) -> bool:
    """Say whether an error is that of Python or of torch for memory that is not to be had."""
    kind = {each.__name__ for each in type(error).__mro__}
    return bool(kind & {"MemoryError", "OutOfMemoryError"}) or "DefaultCPUAllocator" in str(error)


def said(error: BaseException) -> str:
    """Return an error on one line, its kind in front; where it is of ours that is elsewhere now."""
    lines = str(error).splitlines()
    if REMOTE in str(error):  # of another process, whose error ends the text
        return lines[-1]
    line = ": ".join([type(error).__name__, *lines[:1]])
    gone = GONE.search(line) if isinstance(error, ImportError) else None
    there = whereabouts((gone[1] or gone[2]).rpartition(".")[2]) if gone else []
    return f"{line}; it is in {' or '.join(there)}" if there else line


def whereabouts(name: str) -> list[str]:
    """Return the modules of ours that are called `name`, else those that define it."""
    if name in RENAMED:
        return [f"lottery.{RENAMED[name]}"]
    files = sorted(PACKAGE.rglob("*.py"))
    called = [p for p in files if name == (p.parent.name if p.stem == "__init__" else p.stem)]
    defines = re.compile(rf"^(?:def|class) {name}\b|^{name}\b.* = ", re.MULTILINE)
    found = called or [p for p in files if defines.search(p.read_text(encoding="utf-8"))]
    places = (p.relative_to(PACKAGE.parent).with_suffix("").as_posix() for p in found)
    return [place.replace("/", ".").removesuffix(".__init__") for place in places]


def place(function: Callable[..., Any]) -> str:
    """Return the file and the line in which a function begins."""
    try:
        file, line = inspect.getsourcefile(function), inspect.getsourcelines(function)[1]
    except (OSError, TypeError):  # made where no file is
        return getattr(function, "__module__", "?")
    return f"{near(file or '?')}, line {line}"


def watched(kind: str, function: Callable[..., Any], where: str) -> Callable[..., Any]:
    """Return a component of somebody else's that says where it does not fit what calls it."""

    @functools.wraps(function)
    def call(*given: Any, **settings: Any) -> Any:
        try:
            found = function(*given, **settings)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            raise UsageError(f"{place(function)}: {error}, as lottery calls a {kind}") from error
        wanted, fits = RETURNED.get(kind, ("", lambda found: True))
        if not fits(found):
            raise UsageError(
                f"{place(function)}: {where} is to return {wanted}, and returned "
                f"{'None' if found is None else 'a ' + type(found).__name__}"
            )
        return found

    return call


@contextlib.contextmanager
def loading(entry: Any, where: str) -> Iterator[None]:
    """Raise UsageError, with file and line, where what an entry point names cannot be loaded."""
    try:
        yield
    except SyntaxError as error:
        raise UsageError(
            f"{near(error.filename or '?')}, line {error.lineno}: {said(error)}"
        ) from error
    except (Exception, SystemExit) as error:  # noqa: BLE001 (somebody else's module)
        told = in_words(error) if isinstance(error, Exception) else error
        why = str(told) if told is not error else said(error)
        raise UsageError(
            f"{where}: {entry.name} = {entry.value} cannot be loaded: {why}"
        ) from error

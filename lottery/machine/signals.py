"""Let a run end well when it is asked to stop: finish the step, save, leave with the right code."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from lottery.errors import HUNG_UP, INTERRUPTED, REQUEUE, TERMINATED, Stopped

CODES = {
    "SIGINT": INTERRUPTED,
    "SIGTERM": TERMINATED,
    "SIGUSR1": REQUEUE,
    "SIGUSR2": REQUEUE,
    "SIGHUP": HUNG_UP,  # the terminal went away
}
ASKED: list[int] = []  # the exit code asked for, once a signal came
HINT: list[str] = []  # the command that resumes
OWNER: list[int] = []  # the process that answers; its children inherit the handler
AT_ONCE: list[Callable[[], object]] = []  # what is called before a second signal ends all
GUEST: list[bool] = []  # not empty where the process is somebody else's, such as a notebook


def install(command: str) -> None:
    """Answer the signals; `command` is what to type to go on. A second signal leaves at once.

    Python lets only the main thread do so; in another one a run goes on until its end.
    """
    HINT[:] = [command]
    OWNER[:] = [os.getpid()]
    if threading.current_thread() is threading.main_thread():
        for number in numbers():
            if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, answer)


def name(number: int) -> str:
    """Return what a signal is called; those for the user's own use have numbers alone."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def numbers() -> list[signal.Signals]:
    """Return the signals that this platform has."""
    return [getattr(signal, name) for name in CODES if hasattr(signal, name)]


def forget() -> None:
    """Forget a signal that another command was sent."""
    ASKED.clear()


@contextlib.contextmanager
def borrowed() -> Iterator[None]:
    """Give the handlers back at the end, to a process that is not ours.

    A second Ctrl-C raises KeyboardInterrupt there, and does not end it.
    """
    before = {number: signal.getsignal(number) for number in numbers()}
    forget()
    GUEST.append(True)
    try:
        yield
    finally:
        GUEST.clear()
        forget()
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


def answer(number: int, frame: FrameType | None) -> None:
    """Note the first signal; leave at the second.

    A terminal sends Ctrl-C to the children as well: they work on until their parent has done.
    """
    code = CODES[signal.Signals(number).name]
    if os.getpid() not in OWNER:
        if code == TERMINATED:  # of the parent, who wants to be rid of it
            os._exit(code)
        return
    if ASKED and GUEST and code == INTERRUPTED:
        raise KeyboardInterrupt
    if ASKED:
        for call in AT_ONCE:
            call()
        os._exit(code)
    ASKED.append(code)
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(2, b"\nstopping at the next step (again: at once)\n")


def pending() -> bool:
    """Say whether a signal asked to stop."""
    return bool(ASKED)


def leave_if_asked() -> None:
    """Raise Stopped where a signal asked for it."""
    if ASKED:
        raise Stopped(f"stopped; to go on from here: {HINT[0]}", ASKED[0])

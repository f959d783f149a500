"""Let a run end well when it is asked to stop: finish the step, save, leave with the right code."""

import os
import signal
from types import FrameType

from lottery.errors import INTERRUPTED, REQUEUE, TERMINATED, Stopped

CODES = {"SIGINT": INTERRUPTED, "SIGTERM": TERMINATED, "SIGUSR1": REQUEUE, "SIGUSR2": REQUEUE}
ASKED: list[int] = []  # the exit code asked for, once a signal came
HINT: list[str] = []  # the command that resumes
OWNER: list[int] = []  # the process that answers; its children inherit the handler


def install(command: str) -> None:
    """Answer the signals; `command` is what to type to go on. A second signal leaves at once."""
    HINT[:] = [command]
    OWNER[:] = [os.getpid()]
    for name in CODES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), answer)


def forget() -> None:
    """Forget a signal that another command was sent."""
    ASKED.clear()


def answer(number: int, frame: FrameType | None) -> None:
    """Note the first signal; leave at the second.

    A terminal sends Ctrl-C to the children as well: they work on until their parent has done.
    """
    code = CODES[signal.Signals(number).name]
    if os.getpid() not in OWNER:
        if code == TERMINATED:  # of the parent, who wants to be rid of it
            os._exit(code)
        return
    if ASKED:
        os._exit(code)
    ASKED.append(code)
    os.write(2, b"\nstopping at the next step (again: at once)\n")


def pending() -> bool:
    """Say whether a signal asked to stop."""
    return bool(ASKED)


def leave_if_asked() -> None:
    """Raise Stopped where a signal asked for it."""
    if ASKED:
        raise Stopped(f"stopped; to go on from here: {HINT[0]}", ASKED[0])

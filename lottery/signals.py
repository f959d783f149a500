"""Let a run end well when it is asked to stop: finish the step, save, leave with the right code."""

import os
import signal
from types import FrameType

from lottery.errors import INTERRUPTED, REQUEUE, TERMINATED, Stopped

CODES = {"SIGINT": INTERRUPTED, "SIGTERM": TERMINATED, "SIGUSR1": REQUEUE, "SIGUSR2": REQUEUE}
ASKED: list[int] = []  # the exit code asked for, once a signal came
HINT: list[str] = []  # the command that resumes


def install(command: str) -> None:
    """Answer the signals; `command` is what to type to go on. A second signal leaves at once."""
    HINT[:] = [command]
    for name in CODES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), answer)


def forget() -> None:
    """Forget a signal that another command was sent."""
    ASKED.clear()


def answer(number: int, frame: FrameType | None) -> None:
    """Note the first signal; leave at the second."""
    code = CODES[signal.Signals(number).name]
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

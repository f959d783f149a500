"""Let a process that was started for a command end with it, however that ends."""

import os
import signal
import threading
import time

PARENT = "LOTTERY_PARENT"  # the process whose work this one is
COMMAND = "LOTTERY_COMMAND"  # what was typed there, for the records of runs
JOB = "job: "  # begins a log: what sets its job apart from the others of the sweep
LOG = "LOTTERY_LOG"  # where under outputs/ what this process prints is kept, for the same
EVERY = 0.5  # seconds between looks


def follow_parent() -> None:
    """Ask this process to stop, by TERM, as soon as the one that it works for is gone.

    Then it saves a checkpoint and gives its locks back; who was killed can pass no signal on.
    Signals that were kept from who started this process (Ray keeps SIGINT) are let in.
    """
    named = os.environ.get(PARENT, "")
    if named.isdigit():
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        threading.Thread(target=look, args=(int(named),), daemon=True).start()


def look(parent: int) -> None:
    """Wait until a process is no more the parent of this one, then ask this one to stop."""
    while os.getppid() == parent:
        time.sleep(EVERY)
    os.kill(os.getpid(), signal.SIGTERM)

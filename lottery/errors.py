"""Say what went wrong in one line, with the exit code that a script can rely on."""

DONE, USAGE, LOCKED, DAMAGED, DISK, DIVERGED = 0, 2, 3, 4, 5, 6
REQUEUE, HUNG_UP, INTERRUPTED, TERMINATED = 75, 129, 130, 143


class LotteryError(Exception):
    """One line for a person: what, why, and what to type. `code` is the exit code."""

    code = 1

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the line, and what was noted beside it."""
        return [f"{type(self).__name__}: {self}", *getattr(self, "__notes__", [])]


class UsageError(LotteryError):
    """The command or the config asks for something that cannot be."""

    code = USAGE


class LockedError(LotteryError):
    """Another process is writing this run."""

    code = LOCKED


class DamagedError(LotteryError):
    """A stored file is not what was written."""

    code = DAMAGED


class DiskError(LotteryError):
    """The file system refused a read or a write."""

    code = DISK


class BlockedError(DiskError):
    """Something stands in the way of a file that no waiting takes away, as a requeue would hope."""

    code = USAGE


class DivergedError(LotteryError):
    """Training made a number that is not finite."""

    code = DIVERGED


class Terminated(BaseException):  # noqa: N818 (no error: it was asked for)
    """TERM or HUP came. It is no Exception, so that no part of a command takes it for a failure."""

    def __init__(self, message: str = "terminated", code: int = TERMINATED) -> None:
        super().__init__(message)
        self.code = code


class Stopped(LotteryError):  # noqa: N818 (no error: it was asked for)
    """A signal asked the run to stop; its work so far is on disk."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code

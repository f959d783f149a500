"""Hold locks that die with their process, and say who holds them. Imports no torch."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lottery.errors import DiskError, LockedError
from lottery.machine import signals
from lottery.storage import disk
from lottery.storage.records import busy, hostname, now, owner_file
from lottery.wording.text import private

LOCKED_WITHIN = 0.5  # seconds after which a run counts as held by another process


@contextlib.contextmanager
def lock(path: Path, run: bool = False, wait: Any = None) -> Iterator[None]:
    """Hold an OS lock, which dies with its process; a file beside it says who holds it.

    With `run` a lock that is taken raises LockedError; else this waits, after calling `wait` once.
    """
    guard = FileLock(path)
    while not guard.is_locked:
        disk.make_folder(path.parent)  # `lottery clean` may have removed it since
        try:
            guard.acquire(timeout=LOCKED_WITHIN)  # readers hold it for an instant
        except Timeout:  # an OSError too, so it comes first
            if run:
                raise LockedError(busy(path.parent)) from None
            if wait:
                wait()
                wait = None
            signals.leave_if_asked()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise disk.refused(path, "lock", error) from error
        except NotImplementedError as error:
            raise DiskError(f"cannot lock {path}: {error}") from error
    try:
        sign(owner_file(path))
        yield
    finally:
        with contextlib.suppress(OSError):  # one that stays is known by a lock that nobody holds
            os.unlink(owner_file(path))
        guard.release()


def sign(path: Path) -> None:
    """Write down who holds a lock; nothing depends on it, so it is not synced, and a disk that is
    full is no reason to stop.
    """
    command = private(sys.argv[1:])
    said = {"pid": os.getpid(), "host": hostname(), "since": now(), "command": command}
    with contextlib.suppress(DiskError):
        disk.write(path, json.dumps(said).encode(), sync=False)

"""Start processes that have their imports behind them: one process imports, and forks for each job.

An import of torch takes seconds, a fork milliseconds. The one that forks does nothing else: it has
no threads, has touched no device, and ends with the process that started it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lottery.errors import LotteryError
from lottery.machine import signals
from lottery.machine.parents import PARENT

CAN_FORK = sys.platform == "linux"  # elsewhere libraries of the system break in a fork


class Forked:
    """A process that was forked, with what subprocess.Popen says of one."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.nursery, self.pid = nursery, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it is at work."""
        if self.returncode is None:
            self.nursery.listen()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, where it is still at work."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it with all that it has started, where it is still at work."""
        if self.poll() is None:
            self.end()

    def end(self) -> None:
        """Kill its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class Nursery:
    """The process that forks, as the one that started it sees it.

    Each child calls `main` of the module `calls`, with the words that it is given in sys.argv.
    """

    def __init__(self, calls: str, imports: Sequence[str], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, calls, *imports],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
            stderr=None if inherited(2) else subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.ready = False  # whether its imports are behind it
        self.ended = False  # as far as is known
        self.children: dict[int, Forked] = {}
        self.latest: Forked | None = None
        self.said = ""  # the beginning of a line that has not ended

    def fileno(self) -> int:
        """Return what there is to read from when it has news, as select asks for it."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def start(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked:
        """Fork a process for `words`, with more variables, that prints to `log`."""
        asked = {"words": list(words), "environment": dict(environment), "log": str(log)}
        self.latest = None
        with contextlib.suppress(BrokenPipeError):
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
        while self.latest is None:
            if not self.listen(wait=True):
                raise LotteryError(self.end())
        return self.latest

    def end(self) -> str:
        """Return what is to be said where it has ended by itself."""
        code = self.process.wait()
        how = f"killed by {signals.name(-code)}" if code < 0 else f"exit code {code}"
        return f"the process that starts the jobs has ended ({how}); type the same command again"

    def listen(self, wait: bool = False) -> bool:
        """Take note of what it says of its children; False once it has ended, and they with it."""
        while select.select([self], [], [], None if wait else 0)[0]:
            if not (read := os.read(self.fileno(), 1 << 16)):
                for child in self.children.values():
                    if child.returncode is None:  # nobody would learn of its end any more
                        child.returncode = -signal.SIGKILL
                        child.end()
                self.ended = True
                return False
            *lines, self.said = (self.said + read.decode()).split("\n")
            for line in lines:
                pid, code = json.loads(line)
                if pid == self.process.pid:
                    self.ready = True
                elif code is None:
                    self.latest = self.children[pid] = Forked(self, pid)
                else:
                    self.children[pid].returncode = code
            wait = False
        return True

    def close(self) -> None:
        """Let it go; children that are still at work are asked to stop by its end."""
        if not self.ready:  # nobody waits for its imports
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self.process.wait()


def inherited(number: int) -> bool:
    """Say whether a process that is started gets the file behind a number.

    Who started this one may have closed it; then there is none, or a file that was opened since.
    """
    try:
        return os.get_inheritable(number)
    except OSError:
        return False


def main(calls: str, imports: Sequence[str]) -> int:
    """Import, then fork for each line on stdin until it ends; in a child, do what was asked for."""
    above = os.getppid()
    call = importlib.import_module(calls).main
    for name in imports:
        importlib.import_module(name)
        if os.getppid() != above:  # nobody waits for the others
            return 0
    gc.collect()
    gc.freeze()  # no collection touches, and so copies, what the children share
    asked = None
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more
        asked = serve()
    if asked is not None:
        sys.argv = ["lottery", *asked["words"]]
        leave(call())
    return 0


def leave(code: int) -> NoReturn:
    """End a child as Python does, but for taking apart what it shares with the others.

    That would touch, and so copy, all of it: a quarter of a second of the processor a child.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # its disk is full, it is closed
            stream.flush()
    os._exit(code)


def serve() -> dict[str, Any] | None:
    """Fork for each line on stdin, and say who began and ended; return the line in a child."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    text, children = b"", 0
    tell([os.getpid(), None])
    while True:
        ready = select.select([0, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 1 << 12)
            while children:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                children -= 1
                tell([pid, os.waitstatus_to_exitcode(status)])
        if 0 in ready:
            if not (read := os.read(0, 1 << 16)):
                return None
            *lines, text = (text + read).split(b"\n")
            for line in lines:
                asked: dict[str, Any] = json.loads(line)
                above = os.getpid()
                if pid := os.fork():
                    children += 1
                    with contextlib.suppress(OSError):  # it was faster
                        os.setpgid(pid, pid)
                    tell([pid, None])
                    continue
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(woken)
                os.close(wake)
                begin(asked, above)
                return asked


def tell(words: list[int | None]) -> None:
    """Say something of a child to the one that started this process."""
    os.write(1, (json.dumps(words) + "\n").encode())


def begin(asked: Mapping[str, Any], parent: int) -> None:
    """Become a process as the shell starts one: a group, streams and variables of its own."""
    os.setpgid(0, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for own, stream in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(own, stream)
    os.close(nothing)
    os.close(log)
    os.environ.update(asked["environment"] | {PARENT: str(parent)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

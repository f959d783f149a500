"""Make one file-system call of a run go wrong, or write all of them down.

A Layer is installed in a forked child, between the product and the `os` module, for what lies below
one folder. Every call there that changes the disk has a number, counted from 1; the layer's log
(a file outside that folder) gets an entry for each, and outlives a SIGKILL. A change that goes
around the layer ends the child with UNSEEN: a test that does not see a call cannot speak for it.
Only fsync is not passed on: the kernel outlives the child, so it would cost time and change nothing.
"""

import errno
import itertools
import os
import pickle
import re
import signal
import stat
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

KILL = "kill"  # die before the call
TORN = "torn"  # die in the midst of it: half of what is written, or right after the call
ENOSPC = "enospc"  # the disk is full: a short write, and then the error
EIO = "eio"
SHORT = "short"  # a write that takes half of what it is given, and says so
UNSEEN = 99
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NEEDS_SPACE = ("open", "write", "fsync", "mkdir", "symlink", "link")  # what a full disk refuses
AUDITED = {  # how many paths come first
    "os.rename": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2,
    "os.truncate": 1,
}  # fmt: skip
REAL = {name: getattr(os, name) for name in (
    "open", "close", "write", "fsync", "replace", "rename", "symlink", "link", "unlink", "remove",
    "mkdir", "rmdir", "truncate", "ftruncate",
)}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One call that changes the disk; `number` 0 is a mark: something was announced."""

    number: int
    kind: str
    path: str  # relative to the folder
    other: str = ""  # where a rename leads, what a link says, what a mark announces
    data: bytes = field(default=b"", repr=False)
    file: int = 0  # the open file that is written or synced, counted from 1
    flags: int = 0
    done: bool = True  # False: the call itself refused (a file that exists, or does not)

    @property
    def truncates(self) -> bool:
        return bool(self.flags & os.O_TRUNC)

    @property
    def phase(self) -> str:
        """What the call is for, without numbers and checksums."""
        name = self.other if self.kind == "replace" else self.path
        words = re.sub(r"[0-9a-f]{10,64}|(?<=tmp-)\d+|(?<=checkpoint-)\d+", "#", name)
        return f"{self.kind} {words}"


class Layer:
    """Stand between the product and the disk, below `root`.

    What goes wrong is call number `at`, or the `nth` whose phase matches the pattern `upon`; what is
    no death is met once, or with `lasting` from then on.
    """

    def __init__(self, root: Path, log: Path, at=0, how="", lasting=False, upon="", nth=1) -> None:
        self.root, self.log = os.path.abspath(root), log
        self.at, self.how, self.lasting, self.upon, self.nth = at, how, lasting, upon, nth
        self.number, self.files = 0, itertools.count(1)
        self.handles: dict[int, tuple[int, str, bool]] = {}  # fd -> file, path, whether a folder
        self.guard = threading.Lock()
        self.inside: int | None = None  # the thread whose call is under way
        self.struck = False

    def install(self) -> None:
        """Take the place of `os`'s functions, in this process for good."""
        self.out = REAL["open"](self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        sys.addaudithook(self.audit)
        for name in REAL:
            setattr(os, name, getattr(self, name))

    def place(self, path, dir_fd=None) -> str | None:
        """Return a path relative to the root; None for one that lies elsewhere."""
        if isinstance(path, int):
            return self.handles[path][1] if path in self.handles else None
        name = os.fsdecode(path)
        if dir_fd is not None:  # as shutil.rmtree does, in folders that it has opened
            if dir_fd not in self.handles:
                return None
            name = os.path.join(self.root, self.handles[dir_fd][1], name)
        name = os.path.abspath(name)
        if name != self.root and not name.startswith(self.root + os.sep):
            return None
        return os.path.relpath(name, self.root)

    def audit(self, event, arguments) -> None:
        """End the process where a change of the disk goes around the layer."""
        if event == "open":
            path, mode, flags = arguments
            paths = [path] if flags & WRITING or set(mode or "") & set("wax+") else []
        elif event in AUDITED:
            paths = arguments[: AUDITED[event]]
        else:
            return
        if self.inside == threading.get_ident():
            return
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike) and self.place(path) is not None:
                REAL["write"](2, f"around the layer: {event} {arguments}\n".encode())
                os._exit(UNSEEN)

    def note(self, call: Call) -> None:
        REAL["write"](self.out, pickle.dumps(call))

    def mark(self, kind: str, path: str, what: str = "") -> None:
        """Write down that something was announced, such as that a level is complete."""
        with self.guard:
            self.note(Call(0, kind, path, what))

    def call(self, go, kind, path, **about):
        """Make a call that changes the disk, unless it is the one that goes wrong."""
        with self.guard:
            self.number += 1
            call = Call(self.number, kind, path, **about)
            if wrong := self.goes_wrong(call):
                call = self.strike(call)
            self.inside = threading.get_ident()
            try:
                result = go(call.data) if kind == "write" else go()
                self.note(call)
            except OSError:
                self.note(replace(call, done=False))
                raise
            finally:
                self.inside = None
                if wrong and self.how == TORN:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

    def goes_wrong(self, call: Call) -> bool:
        if self.upon and not self.at and re.search(self.upon, call.phase):
            self.nth -= 1
            if not self.nth:
                self.at = call.number
        if not self.at or call.number < self.at:
            return False
        if call.number == self.at:
            self.at += self.moot(call)
            return call.number == self.at
        return self.lasting and (self.how != ENOSPC or call.kind in NEEDS_SPACE)

    def moot(self, call: Call) -> bool:
        """Say whether an error would change nothing, since the kernel has another answer anyway."""
        exists = os.path.lexists(os.path.join(self.root, call.path))
        new = call.kind == "mkdir" or call.kind == "open" and bool(call.flags & os.O_EXCL)
        refused = exists if new else call.kind == "unlink" and not exists
        return self.how in (ENOSPC, EIO) and refused

    def strike(self, call: Call) -> Call:
        """Let a call go wrong; return it where some of it is made all the same."""
        if not self.struck:
            self.note(Call(0, "struck", call.path, call.kind))
        half = self.how in (TORN, SHORT) or self.how == ENOSPC and not self.struck
        short = half and len(call.data) > 1
        self.struck = True
        if self.how == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == EIO or self.how == ENOSPC and not short:
            number = getattr(errno, self.how.upper())
            raise OSError(number, os.strerror(number), call.path)
        if self.how == ENOSPC:
            self.at += 1  # a full disk takes what it can, and refuses the next call
        return replace(call, data=call.data[: len(call.data) // 2]) if short else call

    def open(self, path, flags, mode=0o777, *, dir_fd=None):
        """Stand in for os.open; reading is let through, but remembered for the sake of fsync."""
        place = self.place(path, dir_fd)
        go = lambda: REAL["open"](path, flags, mode, dir_fd=dir_fd)  # noqa: E731
        if place is None:
            return go()
        file, changes = next(self.files), flags & WRITING
        handle = self.call(go, "open", place, file=file, flags=flags) if changes else go()
        self.handles[handle] = (file, place, stat.S_ISDIR(os.fstat(handle).st_mode))
        return handle

    def close(self, handle):
        self.handles.pop(handle, None)
        return REAL["close"](handle)

    def write(self, handle, data):
        if handle not in self.handles:
            return REAL["write"](handle, data)
        file, place, _ = self.handles[handle]
        go = lambda part: REAL["write"](handle, part)  # noqa: E731
        return self.call(go, "write", place, file=file, data=bytes(data))

    def fsync(self, handle):
        number = handle if isinstance(handle, int) else handle.fileno()
        if number not in self.handles:
            return REAL["fsync"](handle)
        file, place, folder = self.handles[number]
        return self.call(lambda: None, "fsync", place, file=0 if folder else file)

    def ftruncate(self, handle, length):
        if handle in self.handles:
            raise NotImplementedError("the product calls os.ftruncate, which no test looks at")
        return REAL["ftruncate"](handle, length)

    def truncate(self, path, length):
        if self.place(path) is not None:
            raise NotImplementedError("the product calls os.truncate, which no test looks at")
        return REAL["truncate"](path, length)

    def two(self, kind, name, source, target, options):
        """Make a call with a source and a target, of which the target decides where it is."""
        from_here, here = self.place(source, options.get("src_dir_fd")), self.place(target)
        go = lambda: REAL[name](source, target, **options)  # noqa: E731
        if here is None and from_here is None:
            return go()
        return self.call(go, kind, from_here or "", other=here or "")

    def replace(self, source, target, **options):
        return self.two("replace", "replace", source, target, options)

    def rename(self, source, target, **options):
        return self.two("replace", "rename", source, target, options)

    def link(self, source, target, **options):
        return self.two("link", "link", source, target, options)

    def symlink(self, source, target, target_is_directory=False, *, dir_fd=None):
        here = self.place(target, dir_fd)
        go = lambda: REAL["symlink"](source, target, target_is_directory, dir_fd=dir_fd)  # noqa: E731
        return go() if here is None else self.call(go, "symlink", here, other=os.fspath(source))

    def one(self, kind, name, path, options):
        """Make a call about one path."""
        here = self.place(path, options.get("dir_fd"))
        go = lambda: REAL[name](path, **options)  # noqa: E731
        return go() if here is None else self.call(go, kind, here)

    def unlink(self, path, **options):
        return self.one("unlink", "unlink", path, options)

    def remove(self, path, **options):
        return self.one("unlink", "remove", path, options)

    def rmdir(self, path, **options):
        return self.one("rmdir", "rmdir", path, options)

    def mkdir(self, path, mode=0o777, **options):
        here = self.place(path, options.get("dir_fd"))
        go = lambda: REAL["mkdir"](path, mode, **options)  # noqa: E731
        return go() if here is None else self.call(go, "mkdir", here)


def read_log(log: Path) -> list[Call]:
    """Return what a layer wrote down, in the order in which it happened."""
    calls = []
    with open(log, "rb") as file:
        while True:
            try:
                calls.append(pickle.load(file))
            except EOFError:
                return calls

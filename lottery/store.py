"""Keep trained levels by content: atomic writes, checksums, locks. The disk is the state.

A level lies in outputs/store/<key>/: tensors as safetensors, everything else as CSV or JSON, and
last the manifest with the sha256 of every file. A level is there when its manifest is.
"""

import contextlib
import errno
import hashlib
import json
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lottery import signals
from lottery.errors import DamagedError, DiskError, LockedError
from lottery.files import read_plain
from lottery.records import MANIFEST, TEMPORARY, busy, digest, owner_file, read_signed, signed
from lottery.wording import in_words

FULL = (errno.ENOSPC,)
LIMITS = (errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
LOCKED_WITHIN = 0.5  # seconds after which a run counts as held by another process
LONGEST_POINTER = 4096  # bytes
LONGEST_HEADER = 16 * 2**20  # bytes of names and shapes


@contextlib.contextmanager
def disk(path: Path, verb: str = "write", size: int = 0) -> Iterator[None]:
    """Turn an error of the file system into a DiskError; `size` bytes are to be written."""
    try:
        yield
    except OSError as error:
        raise refused(path, verb, error, size) from error


def refused(path: Path, verb: str, error: OSError, size: int = 0) -> DiskError:
    """Return the line for an error of the file system: what, why, and what to type."""
    hint = "; type the same command again once the disk answers"
    room = f" ({in_words(size)} needed, {in_words(free(path))} free)"
    if error.errno in FULL:
        hint = f"{room}; free some space and type the same command again"
    elif error.errno in LIMITS:
        hint = f"{room}; raise the limit (ulimit -f, quota) and type the same command again"
    elif error.errno in FORBIDDEN:
        hint = "; write outputs=DIR where you may write"
    return DiskError(f"cannot {verb} {path}: {error.strerror}{hint}")


def free(path: Path) -> int:
    """Return the bytes that are free where `path` is, or will be."""
    there = next((p for p in (path, *path.parents) if p.exists()), Path("/"))
    return shutil.disk_usage(there).free


def write(path: Path, data: bytes, sync: bool = True) -> None:
    """Write a file so that it stands under its name whole or not at all.

    With `sync` it is on the disk when this returns, and outlasts a power cut.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    with disk(path, size=len(data)):
        try:
            save_as(temporary, data, sync)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):  # what is left is swept at the next start
                os.unlink(temporary)
            raise
        if sync:
            sync_folder(path.parent)


def save_as(path: Path, data: bytes, sync: bool) -> None:
    """Write the bytes to a file; with `sync` wait until the disk has them."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make a change of names in `folder` outlast a power cut, where the platform can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file; one that is gone already is fine."""
    with disk(path, "remove"), contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it, where there is one."""
    with disk(path, "remove"), contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write(path, (json.dumps(value, indent=1) + "\n").encode())


def make_folder(path: Path) -> None:
    """Make a folder and its parents, so that they outlast a power cut."""
    with disk(path):
        missing = [folder for folder in (path, *path.parents) if not folder.is_dir()] or [path]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)


def tensor_digest(tensors: dict[str, Tensor]) -> str:
    """Return a sha256 over names, types, shapes and bytes."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


@contextlib.contextmanager
def lock(path: Path, run: bool = False, wait: Any = None) -> Iterator[None]:
    """Hold an OS lock, which dies with its process; a file beside it says who holds it.

    With `run` a lock that is taken raises LockedError; else this waits, after calling `wait` once.
    """
    guard = FileLock(path)
    while not guard.is_locked:
        make_folder(path.parent)  # `lottery clean` may have removed it since
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
            raise refused(path, "lock", error) from error
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
    """Write down who holds a lock; nothing depends on it, so it is not synced."""
    said = {"pid": os.getpid(), "host": hostname(), "since": now(), "command": sys.argv[1:]}
    write(path, json.dumps(said).encode(), sync=False)


KINDS = {  # what the manifest of a level says
    "key": str,
    "format": int,
    "trained_by": str,
    "files": dict,
    "result": dict,
    "layers": dict,
    "environment": dict,
    "drift": list,
    "lowered": list,
}


class Shelf:
    """The place of one level in the store."""

    def __init__(self, root: Path, key: str) -> None:
        self.key = key
        self.path = root / "store" / key

    def lock(self, wait: Any = None) -> contextlib.AbstractContextManager[None]:
        """Hold this level: who trains it, trains it alone."""
        return lock(self.path / ".lock", wait=wait)

    @property
    def complete(self) -> bool:
        with disk(self.path, "read"):
            return (self.path / MANIFEST).exists()

    def manifest(self) -> dict[str, Any]:
        """Return the manifest; raises DamagedError unless it is as written."""
        path = self.path / MANIFEST
        try:
            value = read_signed(path)
        except FileNotFoundError as error:
            raise self.damaged(path, "it is missing") from error
        except DamagedError as error:
            raise DamagedError(f"{error}; {self.hint()}") from error
        for key, kind in KINDS.items():
            if not isinstance(value.get(key), kind):
                raise self.damaged(path, f"its {key} is {value.get(key)!r}")
        if value["key"] != self.path.name:
            raise self.damaged(path, f"it is that of the level {value['key']!r}")
        return value

    def hint(self) -> str:
        where = shlex.quote(str(self.path))
        return f"to train this level again: rm -r {where}, then type the same command"

    def damaged(self, path: Path, why: str) -> DamagedError:
        return DamagedError(f"{path} is damaged ({why}); {self.hint()}")

    def write_tensors(self, name: str, tensors: dict[str, Tensor], about: Any = None) -> str:
        """Write tensors with `about` as JSON in the header; return the sha256 of the file."""
        data = pack_tensors(tensors, about)
        write(self.path / name, data)
        return digest(data)

    def read_tensors(self, name: str) -> tuple[dict[str, Tensor], Any]:
        """Return the tensors and what was said about them; raises DamagedError."""
        data = self._checked(name)
        try:
            return unpack_tensors(data)
        except DamagedError as error:
            raise self.damaged(self.path / name, str(error)) from error

    def _checked(self, name: str) -> bytes:
        """Return a file that the manifest vouches for."""
        path = self.path / name
        try:
            data = read_plain(path)
            if digest(data) != self.manifest()["files"].get(name):
                raise ValueError("its checksum is wrong")
        except FileNotFoundError as error:
            raise self.damaged(path, "it is missing") from error
        except OSError as error:
            raise refused(path, "read", error) from error
        except ValueError as error:
            raise self.damaged(path, str(error)) from error
        return data

    def read_text(self, name: str) -> str:
        """Return a text file of the level; raises DamagedError."""
        return self._checked(name).decode(errors="replace")

    def finish(self, manifest: dict[str, Any]) -> None:
        """Declare the level complete: the manifest, last."""
        write_json(self.path / MANIFEST, signed(manifest))

    def add_file(self, name: str, sha: str) -> None:
        """Enter one more file into a finished level's manifest (a state that was replayed)."""
        manifest = self.manifest()
        manifest["files"][name] = sha
        self.finish(manifest)

    def sweep(self) -> None:
        """Remove what a killed process left half-written; call it under the lock."""
        sweep(self.path)


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder."""
    for path in folder.glob(f"{TEMPORARY}*"):
        remove(path)


def pack_tensors(tensors: dict[str, Tensor], about: Any) -> bytes:
    """Return tensors as safetensors; one metadata key, since the order of several is not fixed."""
    cpu = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    return save(cpu, {"lottery": json.dumps(about)})


def unpack_tensors(data: bytes) -> tuple[dict[str, Tensor], Any]:
    """Undo `pack_tensors`."""
    try:
        length = int.from_bytes(data[:8], "little")
        if length > min(len(data), LONGEST_HEADER):
            raise ValueError("its header is too long")
        tensors = load(data)  # first: it refuses a header that is anything but one
        header = json.loads(data[8 : 8 + length])
        return tensors, json.loads(header["__metadata__"]["lottery"])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"it is no tensor file of ours: {error}") from error


def link(place: Path, target: Path) -> None:
    """Let `place` stand for `target`: a relative link, or a one-line pointer file without links."""
    relative = os.path.relpath(target, place.parent)
    if leads_to(place) == Path(relative) and place.parent.joinpath(relative).exists():
        return
    if place.is_dir() and not place.is_symlink():
        raise DiskError(f"{place} is a folder, where a link to {target} has to stand; move it away")
    with disk(place):
        temporary = place.with_name(f"{TEMPORARY}{os.getpid()}-{place.name}")
        temporary.unlink(missing_ok=True)
        try:
            os.symlink(relative, temporary)
        except OSError as error:
            if error.errno in (*FULL, *LIMITS, errno.EIO):
                raise
            write(place, (relative + "\n").encode())
            return
        os.replace(temporary, place)
        sync_folder(place.parent)


def follow(place: Path) -> str | None:
    """Return the key of the level that `place` stands for; None where there is none."""
    target = leads_to(place)
    return target.name if target else None


def leads_to(place: Path) -> Path | None:
    """Return what a link, or the pointer file in its stead, says; None where there is none."""
    if place.is_symlink():
        return Path(os.readlink(place))
    if not place.is_file():
        return None
    with disk(place, "read"), open(place, "rb") as file:
        return Path(file.read(LONGEST_POINTER).decode(errors="replace").strip())


def write_if_new(path: Path, data: bytes) -> None:
    """Write a file unless it already holds just that."""
    with disk(path, "read"):
        same = path.is_file() and path.read_bytes() == data  # a pipe there is replaced
    if not same:
        write(path, data)


def now() -> str:
    """Return the time to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def hostname() -> str:
    """Return this machine's name."""
    return socket.gethostname()

"""Keep trained levels by content: atomic writes, checksums, locks. The disk is the state.

A level lies in outputs/store/<key>/: tensors as safetensors, everything else as CSV or JSON, and
last the manifest with the sha256 of every file. A level is there when its manifest is.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lottery import signals
from lottery.errors import DamagedError, DiskError, LockedError
from lottery.records import owner

TEMPORARY = ".tmp-"
MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint-"
CHECKPOINT_NAME = re.compile(rf"{CHECKPOINT}\d+-[0-9a-f]{{32}}\.safetensors")


@contextlib.contextmanager
def disk(path: Path, verb: str = "write") -> Iterator[None]:
    """Turn an error of the file system into a DiskError that names the path."""
    try:
        yield
    except OSError as error:
        hint = (
            "; free some space and type the same command again"
            if (error.errno in (errno.ENOSPC, errno.EDQUOT))
            else ""
        )
        raise DiskError(f"cannot {verb} {path}: {error.strerror}{hint}") from error


def write(path: Path, data: bytes) -> None:
    """Write a file so that it stands under its name whole or not at all."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    with disk(path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` outlast a power cut, where the platform can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write(path, (json.dumps(value, indent=1) + "\n").encode())


def make_folder(path: Path) -> None:
    """Make a folder and its parents."""
    with disk(path):
        path.mkdir(parents=True, exist_ok=True)


def digest(data: bytes) -> str:
    """Return the sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def tensor_digest(tensors: dict[str, Tensor]) -> str:
    """Return a sha256 over names, types, shapes and bytes."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


@contextlib.contextmanager
def lock(path: Path, holder: Path | None = None, wait: Any = None) -> Iterator[None]:
    """Hold an OS lock, which dies with its process.

    With `holder`, a file in which the owner is named, a lock that is taken raises LockedError at
    once; without it this waits, after calling `wait` once.
    """
    make_folder(path.parent)
    guard = FileLock(path)
    try:
        guard.acquire(timeout=0)
    except Timeout:  # an OSError too, so it comes first
        if holder is not None:
            raise LockedError(
                f"{path.parent} is being written by {owner(holder)}; wait for it, or stop it first"
            ) from None
        if wait:
            wait()
        while not guard.is_locked:
            signals.leave_if_asked()
            with contextlib.suppress(Timeout):
                guard.acquire(timeout=0.5)
    except (OSError, NotImplementedError) as error:
        raise DiskError(f"cannot lock {path}: {error}") from error
    try:
        yield
    finally:
        guard.release()


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
            value: dict[str, Any] = json.loads(path.read_bytes())
            body = {k: v for k, v in value.items() if k != "sha256"}
            if value["sha256"] != digest(json.dumps(body, sort_keys=True).encode()):
                raise ValueError("its checksum is wrong")
        except (ValueError, KeyError, TypeError) as error:
            raise self.damaged(path, str(error)) from error
        except OSError as error:
            raise DiskError(f"cannot read {path}: {error.strerror}") from error
        return value

    def damaged(self, path: Path, why: str) -> DamagedError:
        return DamagedError(
            f"{path} is damaged ({why}); to train this level again: "
            f"rm -r {self.path}, then type the same command"
        )

    def write_tensors(self, name: str, tensors: dict[str, Tensor], about: Any = None) -> str:
        """Write tensors with `about` as JSON in the header; return the sha256 of the file."""
        data = pack_tensors(tensors, about)
        write(self.path / name, data)
        return digest(data)

    def read_tensors(self, name: str) -> tuple[dict[str, Tensor], Any]:
        """Return the tensors and what was said about them; raises DamagedError."""
        path = self.path / name
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise self.damaged(path, "it is missing") from error
        except OSError as error:
            raise DiskError(f"cannot read {path}: {error.strerror}") from error
        if digest(data) != self.manifest()["files"].get(name):
            raise self.damaged(path, "its checksum is wrong")
        return unpack_tensors(data)

    def read_text(self, name: str) -> str:
        """Return a text file of the level; raises DamagedError."""
        path = self.path / name
        data = path.read_bytes() if path.exists() else b""
        if digest(data) != self.manifest()["files"].get(name):
            raise self.damaged(path, "it is missing or its checksum is wrong")
        return data.decode()

    def finish(self, manifest: dict[str, Any]) -> None:
        """Declare the level complete: the manifest, last; then sweep what training left."""
        body: dict[str, Any] = json.loads(json.dumps(manifest))
        body["sha256"] = digest(json.dumps(body, sort_keys=True).encode())
        write_json(self.path / MANIFEST, body)
        self.sweep()

    def add_file(self, name: str, sha: str) -> None:
        """Enter one more file into a finished level's manifest (a state that was replayed)."""
        manifest = self.manifest()
        manifest["files"][name] = sha
        del manifest["sha256"]
        self.finish(manifest)

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints within the level, the newest first."""
        found = [p for p in self.path.glob(f"{CHECKPOINT}*") if CHECKPOINT_NAME.fullmatch(p.name)]
        return sorted(found, key=lambda p: -int(p.name.split("-")[1]))

    def write_checkpoint(self, iteration: int, tensors: dict[str, Tensor], about: Any) -> None:
        """Write a checkpoint under a name that holds its checksum; keep one earlier one."""
        data = pack_tensors(tensors, about)
        name = f"{CHECKPOINT}{iteration}-{digest(data)[:32]}.safetensors"
        write(self.path / name, data)
        for path in self.checkpoints()[2:]:
            path.unlink(missing_ok=True)

    def read_checkpoint(self, warn: Any) -> tuple[dict[str, Tensor], Any] | None:
        """Return the newest good checkpoint; a damaged one is set aside as .corrupt and named."""
        for path in self.checkpoints():
            with disk(path, "read"):
                data = path.read_bytes()
            if digest(data)[:32] == path.stem.split("-")[2]:
                return unpack_tensors(data)
            aside = path.with_suffix(".corrupt")
            with disk(path):
                os.replace(path, aside)
            warn(f"{path} is damaged; set aside as {aside.name}, going back to the one before")
        return None

    def sweep(self) -> None:
        """Remove what a killed process left and nobody needs; call it under the lock."""
        sweep(self.path)
        for path in self.checkpoints() if self.complete else ():
            path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def pack_tensors(tensors: dict[str, Tensor], about: Any) -> bytes:
    """Return tensors as safetensors; one metadata key, since the order of several is not fixed."""
    cpu = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    return save(cpu, {"lottery": json.dumps(about)})


def unpack_tensors(data: bytes) -> tuple[dict[str, Tensor], Any]:
    """Undo `pack_tensors`."""
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return load(data), json.loads(header["__metadata__"]["lottery"])
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedError(f"a tensor file cannot be read: {error}") from error


def link(place: Path, target: Path) -> None:
    """Let `place` stand for `target`: a relative link, or a one-line pointer file without links."""
    relative = os.path.relpath(target, place.parent)
    if place.is_dir() and not place.is_symlink():
        raise DiskError(f"{place} is a folder, where a link to {target} has to stand; move it away")
    with disk(place):
        temporary = place.with_name(f"{TEMPORARY}{os.getpid()}-{place.name}")
        temporary.unlink(missing_ok=True)
        try:
            os.symlink(relative, temporary)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            write(place, (relative + "\n").encode())
            return
        os.replace(temporary, place)


def follow(place: Path) -> str | None:
    """Return the key of the level that `place` stands for; None where there is none."""
    if place.is_symlink():
        return Path(os.readlink(place)).name
    return Path(place.read_text().strip()).name if place.is_file() else None


def write_if_new(path: Path, data: bytes) -> None:
    """Write a file unless it already holds just that."""
    with disk(path, "read"):
        same = path.exists() and path.read_bytes() == data
    if not same:
        write(path, data)


def hostname() -> str:
    """Return this machine's name."""
    return socket.gethostname()

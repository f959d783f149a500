"""Keep trained levels by content, each file with its checksum. The disk is the state.

A level lies in outputs/store/<key>/: tensors as safetensors, everything else as CSV or JSON, and
last the manifest with the sha256 of every file. A level is there when its manifest is.
"""

import contextlib
import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lottery.errors import DamagedError, LotteryError, UsageError
from lottery.storage import disk, locks
from lottery.storage.files import digest, read_plain
from lottery.storage.packs import left_out, packed
from lottery.storage.records import MANIFEST, read_signed, signed

LONGEST_HEADER = 16 * 2**20  # bytes of names and shapes


def tensor_digest(tensors: dict[str, Tensor]) -> str:
    """Return a sha256 over names, types, shapes and bytes."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


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
        return locks.lock(self.path / ".lock", wait=wait)

    @property
    def complete(self) -> bool:
        with disk.touching(self.path, "read"):
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

    def missing(self, path: Path) -> LotteryError:
        """Return the error for a file that is not there; of a pack, that it was left out."""
        if left_out(self.path.parents[1], path.name):
            return UsageError(
                f"{path} was left out of this pack ({packed(self.path.parents[1])}); ask for one "
                "with it: lottery pack with=weights"
            )
        return self.damaged(path, "it is missing")

    def damaged(self, path: Path, why: str) -> DamagedError:
        return DamagedError(f"{path} is damaged ({why}); {self.hint()}")

    def write_tensors(self, name: str, tensors: dict[str, Tensor], about: Any = None) -> str:
        """Write tensors with `about` as JSON in the header; return the sha256 of the file."""
        data = pack_tensors(tensors, about)
        disk.write(self.path / name, data)
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
            raise self.missing(path) from error
        except OSError as error:
            raise disk.refused(path, "read", error) from error
        except ValueError as error:
            raise self.damaged(path, str(error)) from error
        return data

    def read_text(self, name: str) -> str:
        """Return a text file of the level; raises DamagedError."""
        return self._checked(name).decode(errors="replace")

    def finish(self, manifest: dict[str, Any]) -> None:
        """Declare the level complete: the manifest, last."""
        disk.write_json(self.path / MANIFEST, signed(manifest))

    def add_file(self, name: str, sha: str) -> None:
        """Enter one more file into a finished level's manifest (a state that was replayed)."""
        manifest = self.manifest()
        manifest["files"][name] = sha
        self.finish(manifest)

    def sweep(self) -> None:
        """Remove what a killed process left half-written; call it under the lock."""
        disk.sweep(self.path)


def pack_tensors(tensors: dict[str, Tensor], about: Any) -> bytes:
    """Return tensors as safetensors; one metadata key, since the order of several is not fixed."""
    cpu: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        memory = plain.untyped_storage().data_ptr()
        cpu[name] = (
            plain.clone() if memory in seen else plain
        )  # of tied weights each name has its own
        seen.add(memory)
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

"""Keep the tensors of a data set in a checked file, so that it is parsed or decoded once.

<root>/cache/<name>.safetensors, and beside it <name>.safetensors.sha256, as sha256sum writes it.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from lottery import store
from lottery.errors import DamagedError, DiskError, LotteryError

Tensors = dict[str, Tensor]


def cached(root: Path, name: str, make: Callable[[], Tensors]) -> tuple[Tensors, str]:
    """Return the tensors of a cache, and their content hash; `make` them where there is none.

    One process makes them while others wait. A damaged cache is made again, with a line on stderr;
    where it cannot be, this raises DamagedError. A folder that cannot be written costs a warning.
    """
    path = root / "cache" / f"{name}.safetensors"
    # What looks damaged may be half of another process's work: only the lock can tell.
    with contextlib.suppress(DamagedError):
        if found := read(path):
            return found
    with contextlib.ExitStack() as stack:
        try:
            place = path.with_name(f".{path.stem}.lock")
            wait = partial(say, f"another process is making {path}; waiting for it")
            stack.enter_context(store.lock(place, wait=wait))
        except DiskError as error:
            return uncached(make(), error)
        try:
            found = read(path)
        except DamagedError as damage:
            say(f"{damage}; making it again")
            tensors = remake(make, damage)
        else:
            if found:
                return found
            tensors = make()
        return keep(path, tensors)


def read(path: Path) -> tuple[Tensors, str] | None:
    """Return what a cache holds, None where there is none; raises DamagedError."""
    beside = sha_path(path)
    try:
        expected = beside.read_bytes().split()[:1]
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DiskError(f"cannot read {error.filename}: {error.strerror}") from error
    if expected != [actual.encode()]:
        raise DamagedError(f"{path} is damaged (its checksum is wrong)")
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["lottery"])["sha256"]


def keep(path: Path, tensors: Tensors) -> tuple[Tensors, str]:
    """Write a cache, the checksum last; return the tensors and their content hash."""
    sha = store.tensor_digest(tensors)
    data = store.pack_tensors(tensors, {"sha256": sha})
    try:
        store.write(path, data)
        store.write(sha_path(path), f"{store.digest(data)}  {path.name}\n".encode())
    except DiskError as error:
        return uncached(tensors, error)
    return tensors, sha


def remake(make: Callable[[], Tensors], damage: DamagedError) -> Tensors:
    """Make the tensors of a damaged cache again; raises DamagedError where that fails."""
    try:
        return make()
    except LotteryError as error:
        raise DamagedError(f"{damage} and cannot be made again: {error}") from error


def uncached(tensors: Tensors, error: DiskError) -> tuple[Tensors, str]:
    """Return tensors that could not be kept, and their content hash; say so."""
    say(f"{error}; going on without a cache")
    return tensors, store.tensor_digest(tensors)


def sha_path(path: Path) -> Path:
    """Return where the checksum of a file stands."""
    return path.with_name(f"{path.name}.sha256")


def say(line: str) -> None:
    """Write a warning to stderr."""
    print(f"warning: {line}", file=sys.stderr)

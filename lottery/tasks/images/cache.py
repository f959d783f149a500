"""Keep the tensors of a data set in a checked file, so that it is parsed or decoded once.

<root>/cache/<name>.safetensors, and beside it <name>.safetensors.sha256, as sha256sum writes it.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lottery.errors import DamagedError, DiskError, LotteryError
from lottery.storage import disk, locks, store
from lottery.storage.files import TEMPORARY, digest
from lottery.tasks.images.outline import looking

Tensors = dict[str, Tensor]
Check = Callable[[Tensors], None]
WHOLE = (torch.uint8, torch.int32, torch.int64)
LONGEST_LINE = 4096  # bytes


def cached(
    root: Path,
    name: str,
    make: Callable[[], Tensors],
    check: Check,
    trace: Callable[[], dict[str, str]] = dict,
) -> tuple[Tensors, str]:
    """Return the tensors of a cache, and their content hash; `make` them where there is none.

    `trace` says what moves with the files that they are made of, by their names ("" moves all the
    time): a cache made of others than lie there now is none. `check` raises ValueError for tensors
    that are not what `make` would return: the file may come from anywhere. One process makes them
    while others wait. A damaged cache is made again, with a line on stderr; where it cannot be,
    this raises DamagedError. A folder that cannot be written costs a warning. While one only looks
    (`outline.only_looking`), none is made.
    """
    path = root / "cache" / f"{name}.safetensors"
    # What looks damaged may be half of another process's work: only the lock can tell.
    with contextlib.suppress(DamagedError):
        if found := read(path, check, trace):
            return found
    if looking():
        tensors = make()
        return tensors, store.tensor_digest(tensors)
    with contextlib.ExitStack() as stack:
        try:
            place = path.with_name(f".{path.stem}.lock")
            wait = partial(say, f"another process is making {path}; waiting for it")
            stack.enter_context(locks.lock(place, wait=wait))
        except DiskError as error:
            return uncached(make(), error)
        sweep(path)
        try:
            found = read(path, check, trace)
        except DamagedError as damage:
            say(f"{damage}; making it again")
            tensors = remake(make, damage)
        else:
            if found:
                return found
            tensors = make()
        return keep(path, tensors, trace())


def read(
    path: Path, check: Check, trace: Callable[[], dict[str, str]] = dict
) -> tuple[Tensors, str] | None:
    """Return what a cache holds, None where there is none of what `trace` finds.

    Raises DamagedError.
    """
    beside = sha_path(path)
    if not path.is_file() or not beside.is_file():  # to open a pipe would wait for ever
        return None
    try:
        with beside.open("rb") as line:
            expected = line.read(LONGEST_LINE).split()[:1]
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskError(f"cannot read {error.filename}: {error.strerror}") from error
    if expected != [actual.encode()]:
        raise DamagedError(f"{path} is damaged (its checksum is wrong)")
    try:
        with safe_open(path, "pt") as file:
            said = json.loads(file.metadata()["lottery"])
            sha, made_of = said["sha256"], said.get("made of", {})
            if any(not now or made_of.get(source) != now for source, now in trace().items()):
                return None
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        check(tensors)
        return tensors, str(sha)
    except (
        SafetensorError,
        ValueError,
        LookupError,
        TypeError,
        RecursionError,
        AttributeError,
    ) as error:
        raise DamagedError(f"{path} is damaged ({one_line(error)})") from error


def check_images(tensors: Tensors, splits: Iterable[str], classes: int) -> None:
    """Raise ValueError unless the tensors are <split>_pixels and <split>_labels of images.

    Pixels are uint8 [N, C, H, W] with one C, H and W for all, labels whole numbers [N] from 0 to
    `classes` - 1.
    """
    wanted = {f"{split}_{part}" for split in splits for part in ("pixels", "labels")}
    if tensors.keys() != wanted:
        raise ValueError(f"it holds {sorted(tensors)[:8]} instead of {sorted(wanted)}")
    shapes = set()
    for name in sorted(wanted):
        if name.endswith("_pixels"):
            pixels, labels = tensors[name], tensors[name.replace("_pixels", "_labels")]
            shapes.add(pixels.shape[1:])
            if pixels.dtype != torch.uint8 or pixels.ndim != 4 or 0 in pixels.shape:
                raise ValueError(f"{name} are no images: {pixels.dtype} {list(pixels.shape)}")
            if labels.dtype not in WHOLE or labels.shape != pixels.shape[:1]:
                raise ValueError(f"{len(pixels)} images, labels {list(labels.shape)}")
            if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
                raise ValueError(f"labels outside 0 to {classes - 1}")
    if len(shapes) != 1:
        raise ValueError("the images of the splits differ in size")


def sweep(path: Path) -> None:
    """Remove what a killed process left of writing a file and its checksum; call it locked."""
    for left in path.parent.glob(f"{TEMPORARY}*"):
        _, _, name = left.name.removeprefix(TEMPORARY).partition("-")
        if name in (path.name, sha_path(path).name):
            disk.remove(left)


def one_line(error: object, most: int = 160) -> str:
    """Return what an error says in one line of at most `most` characters."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= most else f"{line[: most - 1]}…"


def keep(
    path: Path, tensors: Tensors, made_of: dict[str, str] | None = None
) -> tuple[Tensors, str]:
    """Write a cache, the checksum last; return the tensors and their content hash."""
    sha = store.tensor_digest(tensors)
    data = store.pack_tensors(tensors, {"sha256": sha, "made of": made_of or {}})
    try:
        disk.write(path, data)
        disk.write(sha_path(path), f"{digest(data)}  {path.name}\n".encode())
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

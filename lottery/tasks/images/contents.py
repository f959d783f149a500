"""Know files by their content: hash each once, and anew where the file system says that it moved.

The hashes lie in cache/<folder>-<hash of its path>.hashes below the root of the data sets, or
where that cannot be written in the user's own: the sha256 of all that follows, then safetensors.
"""

import contextlib
import hashlib
import os
import struct
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lottery.errors import DamagedError, LotteryError, UsageError
from lottery.machine import signals
from lottery.storage import disk, store
from lottery.storage.files import open_plain, read_plain
from lottery.tasks.images.cache import say, sweep
from lottery.tasks.images.outline import AbsentError, looking
from lottery.tasks.images.progress import Progress
from lottery.wording.text import expanded

SHA = 32  # bytes of a sha256
SEEN = struct.Struct("=4q")
HIGHEST = 2**63 - 1
NEVER = b"\xff" * SEEN.size  # equals what no file system says of a file
TICK = 20_000_000  # nanoseconds in which a file may be written twice with one time
COARSE_TICK = 2_100_000_000  # the same where times are whole seconds
THREADS = 8
CHUNK = 64  # files that a thread takes at a time
PIECE = 2**20  # bytes that are read at once
KEEP_EVERY = 60.0  # seconds between two looks at how far a long hashing is, for the next start
AT_ONCE = 2**30  # bytes that may be read in passing: hashed for a plan, looked at for damage
LONGEST_CACHE = 2**31  # bytes
SPARE = Path("~/.cache/lottery-data")  # where `data` lies unless it is given
TRIES = 3  # at a file that is written while it is read


def seen(about: os.stat_result) -> bytes:
    """Return what moves with the content of a file: size, both times in nanoseconds, inode."""
    numbers = about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino
    return SEEN.pack(*(number & HIGHEST for number in numbers))


@dataclass(frozen=True)
class Files:
    """Files as they were when they were hashed."""

    paths: list[str]
    seen: np.ndarray  # uint8 [N, 32], of each file what `seen` gives; all 255: not to be trusted
    sha: np.ndarray  # uint8 [N, 32]
    root: Path | None = None  # below which what is known of them is kept

    @property
    def size(self) -> int:
        """The bytes of all, but for those that are not to be trusted."""
        return int(self.seen.view("=i8").reshape(-1, 4)[:, 0].clip(0).sum())

    def read(self, number: int) -> bytes:
        """Return the content that was hashed; raises UsageError where the file has another now."""
        path = self.paths[number]
        data, now = content(path)
        if now == self.seen[number].tobytes():
            return data
        if hashlib.sha256(data).digest() == self.sha[number].tobytes():  # touched or copied back
            return data
        raise UsageError(
            f"{path} has changed since this command began; restore it and type the same command "
            "again, or give a run with the changed data another name=..."
        )


def content(path: str) -> tuple[bytes, bytes]:
    """Return the bytes of a file, and what was `seen` of it right after; raises LotteryError."""
    with explained(path), open_plain(Path(path)) as file:
        return file.read(), seen(os.fstat(file.fileno()))


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn what opening a file of the data set raises into a line that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} is gone since this command began; restore it and type the same command "
            "again, or give a run without it another name=..."
        ) from error
    except OSError as error:
        raise disk.refused(Path(path), "read", error) from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}; take it out of the data set") from error


def hashed(folder: Path, names: Sequence[str], listed: Sequence[bytes], root: Path | None) -> Files:
    """Return the files `names` below `folder` with the hashes of their content.

    `listed` is what was `seen` of each. A hash is taken from the cache below `root` where nothing
    of that has moved since. Raises UsageError for a file that is gone or does not stand still, and
    while one only looks AbsentError where there is much to hash.
    """
    paths = [os.path.join(folder, name) for name in names]  # noqa: PTH118  pathlib takes 5 us
    now = np.frombuffer(b"".join(listed), np.uint8).reshape(-1, SEEN.size).copy()
    sha = np.zeros((len(names), SHA), np.uint8)
    cache = Cache(root, folder, names)
    left = cache.fill(now, sha)
    files = Files(paths, now, sha, root)
    if not len(left):
        return files
    sizes = now.view("=i8").reshape(-1, 4)[left, 0]
    if looking() and int(sizes.sum()) > AT_ONCE:
        raise AbsentError(f"the files of {folder} are not hashed yet")
    try:
        hash_all(files, left.tolist(), folder, cache)
    finally:
        cache.keep(files)
    return files


def hash_all(files: Files, left: list[int], folder: Path, cache: "Cache") -> None:
    """Hash the files with these numbers in threads, in place."""
    wait_for_clock(files.seen[left])
    progress = Progress(f"hashing {len(left):,} files of {folder}", len(left), patient=True)
    kept = time.monotonic()

    def work(numbers: list[int]) -> list[tuple[int, bytes, bytes]]:
        return [(number, *hash_of(files.paths[number])) for number in numbers]

    pool = ThreadPoolExecutor(THREADS)
    try:
        for done in pool.map(work, (left[at : at + CHUNK] for at in range(0, len(left), CHUNK))):
            for number, now, sha in done:
                files.seen[number] = np.frombuffer(now, np.uint8)
                files.sha[number] = np.frombuffer(sha, np.uint8)
            progress.add(len(done))
            signals.leave_if_asked()
            if time.monotonic() - kept > KEEP_EVERY:
                cache.keep(files)
                kept = time.monotonic()
    finally:
        pool.shutdown(cancel_futures=True)
    progress.end()


def wait_for_clock(listed: np.ndarray) -> None:
    """Wait until whatever is written from now on gets another time than these files have."""
    changed = listed.view("=i8").reshape(-1, 4)[:, 2]
    least = np.where(changed % 10**9, TICK, COARSE_TICK)
    rest = int((changed + least).max()) - time.time_ns()
    if 0 < rest <= COARSE_TICK:
        time.sleep(rest / 1e9)


def settled(now: bytes, clock: int) -> bool:
    """Say whether a file that was read from `clock` on would get another time if written since."""
    changed = SEEN.unpack(now)[2]
    return bool(changed + (TICK if changed % 10**9 else COARSE_TICK) <= clock)


def hash_of(path: str) -> tuple[bytes, bytes]:
    """Return what was `seen` of a file, and the sha256 of its content.

    `NEVER` stands for the first where the file is too young for its time to say that it is the
    same. Raises UsageError for a file that is written all the time.
    """
    for _ in range(TRIES):
        clock = time.time_ns()
        with explained(path), open_plain(Path(path)) as file:
            before = seen(os.fstat(file.fileno()))
            sha = hashlib.sha256()
            while piece := file.read(PIECE):
                sha.update(piece)
            if seen(os.fstat(file.fileno())) == before:
                return before if settled(before, clock) else NEVER, sha.digest()
    raise UsageError(
        f"{path} is being written; wait for whoever writes it, then type the same command again"
    )


class Cache:
    """The hashes of the files of one folder, as an earlier start left them."""

    def __init__(self, root: Path | None, folder: Path, names: Sequence[str]) -> None:
        where = os.path.realpath(folder)
        key = hashlib.sha256(os.fsencode(where)).hexdigest()[:16]
        name = f"{short(folder.name)}-{key}.hashes"
        roots = [] if root is None else [root, expanded(SPARE)]
        self.places = [place / "cache" / name for place in roots]
        self.names = names
        self.blob = b"\0".join(map(os.fsencode, names))

    def fill(self, now: np.ndarray, sha: np.ndarray) -> np.ndarray:
        """Fill in the hashes of files of which nothing has moved; return the numbers of others."""
        for place in self.places:
            try:
                known, seen_then, sha_then = read(place)
                break
            except (LotteryError, OSError, ValueError, LookupError):  # it is only a cache
                continue
        else:
            return np.arange(len(self.names))
        rows = np.arange(len(self.names))
        if known != self.blob:
            numbers = {name: number for number, name in enumerate(known.split(b"\0"))}
            rows = np.array([numbers.get(name, -1) for name in self.blob.split(b"\0")])
        same: np.ndarray = np.equal(seen_then[rows], now).all(axis=1) & (rows >= 0)
        sha[same] = sha_then[rows[same]]
        return np.flatnonzero(~same)

    def keep(self, files: Files) -> None:
        """Write down what is known; a place that cannot be written costs a warning, at most."""
        if looking() or not self.places:
            return
        then = files.seen.copy()
        then[files.sha.max(axis=1) == 0] = 255  # not hashed yet
        tensors = {
            "names": torch.frombuffer(bytearray(self.blob), dtype=torch.uint8),
            "seen": torch.from_numpy(then),
            "sha": torch.from_numpy(files.sha),
        }
        body = store.pack_tensors(tensors, None)
        failures = []
        for place in self.places:
            try:
                disk.make_folder(place.parent)
                sweep(place)
                disk.write(place, hashlib.sha256(body).digest() + body)
                return
            except LotteryError as error:
                failures.append(error)
        say(f"{failures[0]}; the next start hashes every file again")


def read(place: Path) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Return names, what was seen and hashes of a cache; raises for one that is not as written."""
    data = read_plain(place, LONGEST_CACHE)
    if hashlib.sha256(memoryview(data)[SHA:]).digest() != data[:SHA]:
        raise DamagedError(f"{place} is damaged (its checksum is wrong)")
    tensors, _ = store.unpack_tensors(data[SHA:])
    names = tensors["names"].numpy().tobytes()
    then, sha = tensors["seen"].numpy(), tensors["sha"].numpy()
    number = names.count(b"\0") + 1
    if (
        {then.dtype, sha.dtype} != {np.dtype(np.uint8)}
        or then.shape != (number, SEEN.size)
        or sha.shape != (number, SHA)
    ):
        raise DamagedError(f"{place} is damaged (its parts do not fit)")
    return names, then, sha


def short(name: str, most: int = 100) -> str:
    """Return at most `most` bytes of a name, so that more fits behind it in one of a file."""
    return os.fsencode(name)[:most].decode(errors="ignore")

"""Fetch and parse the files of a data set at its first use; afterwards read our own cache.

A file counts where its sha256 is the one written in the data set's module: what comes over the
net, or was put there by hand, as it was published, unpacked or packed again. Nothing is unpickled,
and nothing of an archive is run.
"""

import contextlib
import hashlib
import shlex
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError

from lottery.errors import DamagedError, UsageError
from lottery.machine import signals
from lottery.machine.version import __version__
from lottery.storage import disk
from lottery.storage.files import digest
from lottery.tasks.images import images
from lottery.tasks.images.archives import at_most, unpacked
from lottery.tasks.images.augmentation import ImageOptions
from lottery.tasks.images.cache import Tensors, cached, check_images, one_line, say, sweep
from lottery.tasks.images.contents import seen, settled
from lottery.tasks.images.images import ImageTask
from lottery.tasks.images.outline import AbsentError, Outline, looking, outline
from lottery.tasks.images.progress import Progress
from lottery.tasks.images.splits import Images

SPLITS = ("train", "test")
PATIENCE = 30.0  # seconds without an answer before the next address is tried
PIECE = 2**18  # bytes read at a time


class Source(NamedTuple):
    """A file as it is published."""

    name: str
    size: int  # bytes
    sha256: str
    parts: dict[str, int]  # the files in it that are read, and the most bytes that each may have
    plain: tuple[str, ...] = ()  # the sha256 of each part, where they are known

    def is_right(self, parts: Mapping[str, bytes]) -> bool:
        """Say whether parts are those that were published.

        Of one whose sha256 nobody has written down here, the length has to do.
        """
        known = {self.name: self.sha256, **dict(zip(self.parts, self.plain, strict=False))}
        return all(
            known[name] == digest(data) if name in known else len(data) == self.parts[name]
            for name, data in parts.items()
        )


@dataclass(frozen=True)
class Published:
    """A data set as it is published."""

    title: str
    addresses: tuple[str, ...]  # of the folder with its files on the net, tried in turn
    sources: tuple[Source, ...]
    shape: tuple[int, int, int]  # of an image: channels, height, width
    examples: dict[str, int]  # of each split
    folder: str = "."  # where the files lie below the root
    unpacked: str = "."  # where the parts lie below the root, if somebody unpacked them
    pickled: str = ""  # another form of it, that many have and that is not read


def downloaded(
    root: Path,
    options: ImageOptions,
    *,
    name: str,
    classes: int,
    published: Published,
    parse: Callable[[dict[str, bytes]], Tensors],
) -> ImageTask | Outline:
    """Return the task of a published data set, cached as `name`.

    `parse` makes uint8 pixels [N, C, H, W] and labels [N] of both splits out of the files' parts,
    and raises ValueError. Raises UsageError where the files are neither there nor to be had,
    DamagedError where they are not what was published or cannot be parsed. While one only looks,
    an outline stands for what would have to be downloaded.
    """
    check = partial(check_images, splits=SPLITS, classes=classes)
    try:
        tensors, sha = cached(
            root,
            name,
            lambda: made(root, published, parse, check),
            check,
            lambda: trace(root, published),
        )
    except AbsentError as absent:
        return outline(published.shape, classes, published.examples, options, absent)
    train, test = (
        Images(tensors[f"{split}_pixels"], tensors[f"{split}_labels"].long()) for split in SPLITS
    )
    return images.image_task(train, test, sha, classes, options)


def made(
    root: Path,
    published: Published,
    parse: Callable[[dict[str, bytes]], Tensors],
    check: Callable[[Tensors], None],
) -> Tensors:
    """Return the tensors of the files, which are downloaded where they are not there."""
    folder = root / published.folder
    parts: dict[str, bytes] = {}
    damaged: list[Path] = []
    lacking: list[Source] = []
    try:
        for source in published.sources:
            found = from_archive(folder / source.name, source, damaged)
            found = found or from_parts(root / published.unpacked, source, damaged)
            lacking += [] if found else [source]
            parts |= found or {}
        if lacking and looking():
            raise AbsentError(f"{published.title} is not in {folder.absolute()}")
        if lacking:
            fetch(root, published, lacking, damaged)
        for source in lacking:
            parts |= from_archive(folder / source.name, source, damaged) or {}
        tensors = parse(parts)
        check(tensors)
        return tensors
    except (ValueError, LookupError) as error:
        raise DamagedError(
            f"the files of {published.title} in {folder.resolve()} are damaged "
            f"({one_line(error)}); remove them, and they are downloaded again"
        ) from error


def trace(root: Path, published: Published) -> dict[str, str]:
    """Return what the file system says of the files that lie there, by their path below root."""
    found: dict[str, str] = {}
    for source in published.sources:
        packed = Path(published.folder, source.name)
        for path in (packed, *(Path(published.unpacked, part) for part in source.parts)):
            if (root / path).is_file():
                clock = time.time_ns()
                with disk.touching(root / path, "read"):
                    now = seen((root / path).stat())
                found[path.as_posix()] = now.hex() if settled(now, clock) else ""
    return found


def from_archive(path: Path, source: Source, damaged: list[Path]) -> dict[str, bytes] | None:
    """Return the parts of a file as it was published; None where it is not there.

    One with another checksum counts if what it holds is right: somebody has packed it again. Else
    it is named on stderr and added to `damaged`.
    """
    if not path.is_file():
        return None
    with disk.touching(path, "read"), path.open("rb") as file:
        right = hashlib.file_digest(file, "sha256").hexdigest() == source.sha256
        size = file.tell()
        file.seek(0)
        if right:
            return unpacked(file, source.name, source.parts)
        with contextlib.suppress(ValueError):
            parts = unpacked(file, source.name, source.parts)
            if source.is_right(parts):
                return parts
    say(f"{path} is damaged or not whole ({size} of {source.size} bytes)")
    damaged.append(path)
    return None


def from_parts(folder: Path, source: Source, damaged: list[Path]) -> dict[str, bytes] | None:
    """Return the parts of a file that somebody unpacked; None unless all of them are there.

    One of the published length with other content is named on stderr and added to `damaged`. One
    of another length is somebody's own set in this layout: it is known by its content, and it is
    for the parser to be strict.
    """
    found: dict[str, bytes] = {}
    for name, most in source.parts.items():
        path = folder / name
        if name == source.name or not path.is_file():
            return None
        with disk.touching(path, "read"), path.open("rb") as file:
            found[name] = at_most(file, most)
        if len(found[name]) == most and not source.is_right({name: found[name]}):
            say(f"{path} is damaged: its content is not that which was published")
            damaged.append(path)
            return None
    return found


def fetch(root: Path, published: Published, lacking: list[Source], damaged: list[Path]) -> None:
    """Download files, from the first address that has them whole.

    Raises UsageError where there is none, DamagedError where a damaged one lies in the place.
    """
    for number, source in enumerate(lacking):
        path = root / published.folder / source.name
        failures: list[str] = []
        for address in published.addresses:
            try:
                data = download(address + source.name, source, path)
            except (OSError, HTTPException, ValueError) as error:
                failures.append(reason(error))
            else:
                disk.make_folder(path.parent)
                sweep(path)
                disk.write(path, data)
                break
        else:
            kind = DamagedError if damaged else UsageError
            raise kind(unfetched(root, published, lacking[number:], failures[0]))


def reason(error: Exception) -> str:
    """Return why a download failed, in one line."""
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        return one_line(error.reason)  # without urllib's brackets
    return one_line(error)


def download(address: str, source: Source, path: Path) -> bytes:
    """Return a file from the net; raises ValueError for any other than the one published."""
    asked = urllib.request.Request(address, headers={"User-Agent": f"lottery/{__version__}"})  # noqa: S310
    data = bytearray()
    # The addresses stand in our own source, and the sha256 decides whatever answers there.
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310
        progress = Progress(f"downloading {address} to {path}", source.size)
        while piece := answer.read(PIECE):
            signals.leave_if_asked()
            data += piece
            progress.add(len(piece))
            if len(data) > source.size:
                break
    progress.end()
    if len(data) != source.size or hashlib.sha256(data).hexdigest() != source.sha256:
        size = f"{'more than ' if len(data) > source.size else ''}{min(len(data), source.size)}"
        raise ValueError(f"{address} sent another file: {size} of {source.size} bytes")
    return bytes(data)


def unfetched(root: Path, published: Published, lacking: list[Source], why: str) -> str:
    """Return the line for files that are not to be had here, with what to type elsewhere."""
    folder = (root / published.folder).absolute()
    words = [w for s in lacking for w in ("-o", s.name, published.addresses[0] + s.name)]
    command = shlex.join(["curl", "-fL", *words])
    other = root / published.pickled
    pickled = (
        f"; {other} is pickle, which could run code and is not read"
        if published.pickled and other.exists()
        else ""
    )
    return (
        f"{published.title} is not in {folder} (or damaged) and cannot be downloaded ({why})"
        f"{pickled}; on a machine with a network type: {command} and put what that fetches "
        f"into {folder}"
    )

"""Unpack foreign archives into memory, never onto the disk, and never more than was announced."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import BinaryIO

MEMBERS = 100  # of a tar archive, before it is refused
ROUNDING = 2**20  # bytes that a tar archive may have beside the files that are read


def unpacked(file: BinaryIO, name: str, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Return what an archive holds: the files that `sizes` names, by name without folders.

    `sizes` are the most bytes that each may have. A .tar.gz may hold other files, which are
    skipped; a .gz holds one; any other name stands for itself. Raises ValueError for an archive
    that is damaged, lacks a file, has it twice or as something else than a file, or holds more.
    """
    try:
        if name.endswith(".tar.gz"):
            return members(gunzipped(file, sum(sizes.values()) + ROUNDING), sizes)
        ((single, most),) = sizes.items()
        return {single: gunzipped(file, most) if name.endswith(".gz") else at_most(file, most)}
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{name}: {error}") from error


def gunzipped(file: BinaryIO, most: int) -> bytes:
    """Return the decompressed bytes; raises ValueError where they are more than `most`."""
    with gzip.open(file) as plain:
        return at_most(plain, most)


def at_most(file: BinaryIO | gzip.GzipFile, most: int) -> bytes:
    """Return the rest of a file; raises ValueError where it is longer than `most` bytes."""
    data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"more than {most} bytes")
    return data


def members(data: bytes, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Return files of a tar archive, in the order of `sizes`; nothing is written anywhere."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for number, member in enumerate(archive):
            name = PurePosixPath(member.name).name
            if number >= MEMBERS:
                raise ValueError(f"more than {MEMBERS} members")
            if name not in sizes:
                continue
            content = archive.extractfile(member) if member.isreg() else None
            if content is None or name in found or not 0 <= member.size <= sizes[name]:
                raise ValueError(f"{member.name} is no file of the announced size, or there twice")
            found[name] = content.read()
    if absent := sizes.keys() - found.keys():
        raise ValueError(f"{min(absent)} is missing")
    return {name: found[name] for name in sizes}

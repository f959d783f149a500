"""Tell pictures from what else lies beside them, and say what to do about broken ones."""

import hashlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lottery.errors import LotteryError
from lottery.storage import disk
from lottery.tasks.images.cache import say
from lottery.tasks.images.contents import SPARE
from lottery.wording.text import expanded, printable

READ = (
    ".apng .avif .bmp .dib .gif .j2k .jfif .jp2 .jpe .jpeg .jpg .jpx .pbm .pfm .pgm .png .pnm .ppm "
    ".tif .tiff .webp"
)
NOT_READ = (  # pictures all the same: a class must not lose them without a word
    ".arw .cr2 .cr3 .dcm .dds .dng .eps .exr .hdr .heic .heif .icns .ico .jxl .nef .pcx .psd .qoi "
    ".raw .sgi .svg .tga .xcf"
)
ENDINGS = frozenset(f"{READ} {NOT_READ}".split())
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
SHOWN = 10  # broken pictures that a line names
TYPED = 10  # of them that a command names; of more, or odd ones, a list is written


class Broken(NamedTuple):
    """A picture that cannot be decoded, and why."""

    path: str
    why: str
    pixels: int = 0  # where those are too many


def called_picture(path: str) -> bool:
    """Say whether a file is called as a picture is."""
    return os.path.splitext(path)[1].lower() in ENDINGS  # noqa: PTH122  of millions


def is_picture(path: str) -> bool:
    """Say whether a file is meant as a picture: by its ending, else by how it begins."""
    if called_picture(path):
        return True
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            start = file.read(12)
    except OSError:  # it is said when it is read
        return True
    return start.startswith(BEGINNINGS) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def say_skipped(folder: Path, skipped: Sequence[str]) -> None:
    """Say in a line how many files are no pictures."""
    if skipped:
        some = ", ".join(printable(name) for name in skipped[:3])
        more = ", ..." if len(skipped) > 3 else ""
        what = "1 file is no picture" if len(skipped) == 1 else f"{len(skipped):,} are no pictures"
        say(f"{folder}: {what} and left out ({some}{more})")


def told(broken: Sequence[Broken], root: Path | None) -> str:
    """Return the line for pictures that cannot be decoded, with what to type about them."""
    one = len(broken) == 1
    named = ", ".join(f"{printable(each.path)} ({each.why})" for each in broken[:SHOWN])
    more = f", and {len(broken) - SHOWN:,} more" if len(broken) > SHOWN else ""
    said = f"{len(broken):,} files cannot be read as an image: {named}{more}"
    if one:
        said = f"{printable(broken[0].path)} cannot be read as an image ({broken[0].why})"
    if largest := max(each.pixels for each in broken):
        said += f"; to read large ones that you trust type dataset.max_pixels={largest}"
    if damaged := [each.path for each in broken if not each.pixels]:
        what = "it" if one else "those that are damaged" if largest else "them"
        said += f"; to remove {what} type: {removal(damaged, root)}"
    return said


def removal(paths: Sequence[str], root: Path | None) -> str:
    """Return a command that removes files, of any names and any number.

    What cannot be typed in a line stands in a list, a file after the other with a 0 between them.
    """
    plain = all(path.isprintable() and path == " ".join(path.split()) for path in paths)
    if plain and len(paths) <= TYPED:
        return f"rm -- {shlex.join(paths)}"
    data = b"\0".join(map(os.fsencode, paths)) + b"\0"
    name = f"unreadable-{hashlib.sha256(data).hexdigest()[:8]}"
    for place in (root, expanded(SPARE)):
        if place is not None:
            try:
                disk.make_folder(place / "cache")
                disk.write(place / "cache" / name, data)
            except LotteryError:
                continue
            return f"xargs -0 rm -- < {shlex.quote(str((place / 'cache' / name).absolute()))}"
    return f"rm -- {shlex.join(paths)}"

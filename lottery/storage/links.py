"""Let a name in a run's folder stand for a level of the store. Imports no torch."""

import errno
import os
from pathlib import Path

from lottery.errors import DamagedError
from lottery.storage import disk
from lottery.wording.text import outputs_word

LONGEST_POINTER = 4096  # bytes


def link(place: Path, target: Path) -> None:
    """Let `place` stand for `target`: a relative link, or a one-line pointer file without links."""
    relative = os.path.relpath(target, place.parent)
    if leads_to(place) == Path(relative) and place.parent.joinpath(relative).exists():
        return
    if place.is_dir() and not place.is_symlink():
        fix = f"lottery doctor --repair{outputs_word(place.absolute().parents[3])}"
        raise DamagedError(
            f"{place} is a folder, where a link to {target} has to stand (zip and cp -L leave "
            f"such); type: {fix}"
        )
    with disk.touching(place):
        temporary = disk.beside(place)
        try:
            disk.rename(lambda: point(temporary, relative), temporary, place)
        except OSError as error:
            made = os.path.lexists(temporary)  # then links can be made: it is not that
            if made or error.errno in (*disk.FULL, *disk.LIMITS, errno.EIO):
                raise
            disk.write(place, (relative + "\n").encode())
            return
        disk.sync_folder(place.parent)


def point(temporary: Path, relative: str) -> None:
    """Make a link, in place of one that a killed process left."""
    temporary.unlink(missing_ok=True)
    os.symlink(relative, temporary)


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
    with disk.touching(place, "read"), open(place, "rb") as file:
        return Path(file.read(LONGEST_POINTER).decode(errors="replace").strip())

"""Put a new file or folder in its place, whole, and never over another."""

import contextlib
import glob
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from lottery.errors import UsageError
from lottery.storage import disk
from lottery.storage.files import TEMPORARY, read_plain
from lottery.wording.text import printable

ALONE = ""  # the name of a file that stands in no folder of its own
ELSEWHERE = "to=PATH"  # what to type where nothing may be written

Files = Mapping[str, bytes]  # name -> bytes; {ALONE: bytes} for a single file


def refuse_taken(target: Path, asked_by: str, same_as_new: bool = False) -> None:
    """Raise UsageError where a file or folder cannot be new at `target`.

    With `same_as_new` one that may turn out to be the same is let be: `place` looks at it.
    """
    with (
        disk.touching(target, elsewhere=ELSEWHERE),
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
    ):
        about = os.lstat(target)
        if not same_as_new or not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            raise taken(target, asked_by)
        return
    above = next(folder for folder in target.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise UsageError(
            f"{asked_by}: {printable(above)} is no folder, so that nothing can stand in it; give "
            f"another {ELSEWHERE}"
        )


def taken(target: Path, asked_by: str) -> UsageError:
    """Return the line for a place that is taken."""
    return UsageError(
        f"{asked_by}: {printable(target)} is there already, and nothing is replaced; give another "
        f"{ELSEWHERE}, or move it away"
    )


def put(files: Files, target: Path, asked_by: str) -> None:
    """Write a new file, or a folder of files; raises UsageError where there is something else."""
    with prepared(files, target, asked_by) as made:
        place(made, target, asked_by)


@contextlib.contextmanager
def prepared(files: Files, target: Path, asked_by: str) -> Iterator[Path]:
    """Write a file, or a folder of files, aside, for a look at it and for `place`.

    What is not put in its place is removed.
    """
    sweep(target)
    with disk.workplace(target) as aside:
        made = aside / target.name
        with disk.touching(target, size=sum(map(len, files.values())), elsewhere=ELSEWHERE):
            if files.keys() == {ALONE}:
                disk.save_as(made, files[ALONE], sync=False)
            else:
                made.mkdir()
                for name, data in files.items():
                    disk.save_as(made / name, data, sync=False)
        yield made


def sweep(target: Path) -> None:
    """Remove what killed processes left that were to make the same, and nothing of living ones."""
    for left in target.parent.glob(f"{TEMPORARY}*-{glob.escape(target.name)}"):
        number = left.name.removeprefix(TEMPORARY).removesuffix(f"-{target.name}")
        if number.isdecimal() and left.is_dir():
            disk.remove_left(left)


def place(made: Path, target: Path, asked_by: str) -> None:
    """Give what was prepared its name, once the disk has it; UsageError where another has it.

    What is there already to the byte, since a command was killed right after this, stays.
    """
    try:
        disk.publish(made, target, ELSEWHERE)
    except FileExistsError as error:
        if not same(made, target):
            raise taken(target, asked_by) from error


def same(made: Path, target: Path) -> bool:
    """Say whether two files, or two folders of files, hold the same bytes."""
    try:
        if made.is_dir():
            names = {path.name for path in made.iterdir()}
            return names == {path.name for path in target.iterdir()} and all(
                same(made / name, target / name) for name in names
            )
        return read_plain(made) == read_plain(target)
    except (OSError, ValueError):
        return False

"""Find the folders of runs on the disk, all or by a word. Imports neither torch nor pandas."""

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from lottery.errors import UsageError
from lottery.storage import disk
from lottery.wording.text import printable

REPLICATE = re.compile(r"replicate_[0-9]+")


def run_folders(outputs: Path) -> list[Path]:
    """Return every replicate folder under `outputs`, by name; none without such a folder.

    A folder that may not be read is left out with a warning. Raises DiskError where `outputs`
    itself may not.
    """
    try:
        names = sorted(os.listdir(outputs))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise disk.refused(outputs, "read", error) from error
    ids = (place for name in names if name != "store" for place in inside(outputs / name))
    return sorted((run for place in ids for run in runs_of(place)), key=natural)


def runs_of(config: Path) -> list[Path]:
    """Return the replicate folders of a folder NAME/ID that hold a run."""
    found = [place for place in inside(config) if REPLICATE.fullmatch(place.name)]
    return [place for place in found if holds_run(place)]


def holds_run(place: Path) -> bool:
    """Say whether a folder holds a run; warns where that may not be seen."""
    try:
        os.stat(place / "run.json")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        warnings.warn(f"{printable(place)} is left out: {error.strerror}", stacklevel=2)
        return False
    return True


def inside(place: Path) -> list[Path]:
    """Return what lies in a folder; nothing, with a warning, where it may not be read."""
    try:
        return [place / name for name in os.listdir(place)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        warnings.warn(f"{printable(place)} is left out: {error.strerror}", stacklevel=2)
        return []


def natural(folder: Path) -> tuple[str, str, int]:
    """Return the order of replicate folders: 10 comes after 9."""
    number = int(folder.name.removeprefix("replicate_"))
    return folder.parent.parent.name, folder.parent.name, number


def absolute(path: Path | str) -> Path:
    """Return an absolute path without "..", so that a run has one, however it was named."""
    return Path(os.path.abspath(path))


def matching(outputs: Path, word: str) -> list[Path]:
    """Return the replicate folders that `word` names: by a name, an id's start, a name's part.

    The first of the three that names any counts, as a name may look like the start of an id.
    """
    if os.path.exists(Path(word) / "run.json"):
        place = absolute(word)
        if not REPLICATE.fullmatch(place.name) or len(place.parents) < 4:
            raise UsageError(
                f"{word} holds a run, but does not lie in outputs/NAME/ID/replicate_K; move it "
                "back, with the store beside NAME"
            )
        return [place]
    if word and os.path.isdir(word) and (found := beneath(absolute(word))):
        return found
    return among([absolute(f) for f in run_folders(outputs)], word)


def among(every: Sequence[Path], word: str) -> list[Path]:
    """Return those of some replicate folders that `word` names, as `matching` does."""
    head, _, replicate = word.rstrip("/").partition("/replicate_")
    folders = [f for f in every if head and (not replicate or f.name == f"replicate_{replicate}")]

    def exactly(ident: str, name: str) -> bool:
        return head in (name, ident, f"{name}/{ident}")

    def begins(ident: str, name: str) -> bool:
        return ident.startswith(head)

    def roughly(ident: str, name: str) -> bool:
        return fnmatchcase(name, head) if "*" in head else head in name

    for fits in (exactly, begins, roughly):
        if found := [f for f in folders if fits(f.parent.name, f.parent.parent.name)]:
            return found
    return []


def beneath(place: Path) -> list[Path]:
    """Return the replicate folders of a folder of runs: of NAME/ID, NAME, outputs, or above it."""
    return runs_in(place) or run_folders(place) or run_folders(place / "outputs")


def runs_in(place: Path) -> list[Path]:
    """Return the replicate folders of a folder NAME/ID, or of a folder NAME."""
    found = runs_of(place) or [run for config in inside(place) for run in runs_of(config)]
    return sorted(found, key=natural)


def lost(folders: Sequence[Path]) -> Iterator[str]:
    """Yield a line for each replicate beside these that has levels and no record.

    Without its run.json it is no run, so whatever is a mean over replicates leaves it out.
    """
    for config in dict.fromkeys(folder.parent for folder in folders):
        for place in sorted(inside(config)):
            if REPLICATE.fullmatch(place.name) and not holds_run(place) and has_levels(place):
                yield f"{place} is left out: its run.json is missing; type its command again"


def has_levels(place: Path) -> bool:
    """Say whether a folder has a table of levels, or a level."""
    return any(path.name.startswith(("level_", "metrics.csv")) for path in inside(place))


def configs(folders: Sequence[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield the folder of each config with its replicates among `folders`, in their order."""
    groups: dict[Path, list[Path]] = {}
    for folder in folders:
        groups.setdefault(folder.parent, []).append(folder)
    yield from groups.items()

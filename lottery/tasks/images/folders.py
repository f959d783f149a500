"""List and check folders of image files: split/class/file.

Hidden files are skipped and links followed. A class may have folders within it.
"""

import errno
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lottery.errors import DiskError, UsageError
from lottery.storage import disk
from lottery.tasks.images.contents import Files, hashed, seen
from lottery.tasks.images.near_misses import SPLITS, hidden, hint, holds_pictures, published
from lottery.tasks.images.pictures import Broken, called_picture, is_picture, say_skipped, told


class File(NamedTuple):
    """An image file: its path below the folder of the data set, with / on every platform."""

    path: str
    seen: bytes  # what `contents.seen` says of it
    label: int


class Beside(NamedTuple):
    """What lies beside the images of a tree."""

    skipped: list[str]  # files that are no pictures
    broken: list[Broken]  # what is called as a picture and can be none


class Tree(NamedTuple):
    """The files of train, test and perhaps val, each in the order of class and path."""

    folder: Path
    splits: dict[str, list[File]]
    names: list[str]  # of the classes

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def files(self) -> list[File]:
        """All files, split after split."""
        return [file for files in self.splits.values() for file in files]

    def name(self, file: File) -> str:
        """Return where a file lies."""
        return os.path.join(self.folder, file.path)  # noqa: PTH118  pathlib takes 5 us, of millions

    def hashed(self, root: Path | None) -> Files:
        """Return all files with the hashes of their content, which are cached below root."""
        every = self.files
        paths, seen_of = [file.path for file in every], [file.seen for file in every]
        return hashed(self.folder, paths, seen_of, root)


def located(root: Path, path: str) -> Path:
    """Return the folder that a config names: below root, unless absolute."""
    return root / Path(path).expanduser()


def find_tree(folder: Path) -> Tree:
    """Return the files of a folder with train, test and val (or valid, validation) in it.

    Without a test folder val is the test split, as is the custom with ImageNet. Raises UsageError
    for a missing split, classes that differ between the splits, and a class without files.
    """
    found: dict[str, Path] = {}
    for entry in below(folder):
        split = SPLITS.get(entry.name)
        if split in found:
            raise UsageError(f"{folder} has both {found[split].name} and {entry.name}; keep one")
        if split and entry.is_dir():
            found[split] = Path(entry.path)
    if "test" not in found and "val" in found:
        found["test"] = found.pop("val")
    for split, others in (("train", "train"), ("test", "test (or val)")):
        if split not in found:
            raise UsageError(
                f"{folder} has no folder named {others}; an image folder is laid out "
                f"as split/class/file{hint(folder)}"
            )
    classes = class_names(found["train"])
    for split in found:
        same_classes(found["train"], classes, found[split], class_names(found[split]))
    beside = Beside([], [])
    splits = {
        split: [
            file
            for label, name in enumerate(classes)
            for file in files_below(folder, place / name, label, beside)
        ]
        for split, place in found.items()
    }
    if beside.broken:
        raise UsageError(told(beside.broken, None))
    say_skipped(folder, beside.skipped)
    return Tree(folder, splits, classes)


def below(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds, by name, without what systems hide; raises UsageError."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not hidden(e.name)), key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            f"{folder} is no folder; dataset.path is the place of the images, taken "
            "below data= unless it is absolute"
        ) from error
    except OSError as error:
        raise DiskError(f"cannot read {folder}: {error.strerror}") from error


def class_names(split: Path) -> list[str]:
    """Return the class folders of a split; raises UsageError where there is none."""
    names = [entry.name for entry in below(split) if entry.is_dir()]
    if not names:
        flat = f"; sort its images into {split}/CLASS" if holds_pictures(split) else ""
        raise UsageError(
            f"{split} holds no folder of a class; an image folder is laid out as "
            f"split/class/file{flat}"
        )
    return names


def same_classes(train: Path, classes: list[str], split: Path, names: list[str]) -> None:
    """Raise UsageError where the two splits do not have the same classes."""
    odd = sorted(set(classes) ^ set(names))
    if odd:
        there, lacking = (train, split) if odd[0] in classes else (split, train)
        known = next((f"; {said}" for said in published(lacking)), "")
        more = f" (and {len(odd) - 1} more)" if odd[1:] else ""
        raise UsageError(
            f"class '{odd[0]}'{more} is in {there} but not in {lacking}; every split "
            f"needs the same classes{known}"
        )


def files_below(folder: Path, place: Path, label: int, beside: Beside | None = None) -> list[File]:
    """Return the images of a class, by path, folders within it included; raises UsageError.

    What is no image goes to `beside`; without that a picture that is no file raises UsageError.
    """
    skipped, broken = beside or Beside([], [])
    start = len(os.path.join(folder, ""))  # noqa: PTH118  pathlib takes 10 us, of millions
    start = 0 if str(folder) == "." else start
    files: list[File] = []
    places, visited = [place], {*place.resolve().parents}  # above it are other classes
    while places:
        at = places.pop()
        real = at.resolve()
        if real in visited:  # a link that leads back up
            continue
        visited.add(real)
        for entry in below(at):
            about, odd = looked_at(entry)
            if about and stat.S_ISDIR(about.st_mode):
                places.append(Path(entry.path))
                continue
            path = entry.path[start:].replace(os.sep, "/")
            if odd and called_picture(entry.path):
                broken.append(Broken(entry.path, odd))
            elif about and not odd and is_picture(entry.path):
                files.append(File(path, seen(about), label))
            else:
                skipped.append(path)
    if broken and beside is None:
        raise UsageError(told(broken, None))
    if not files and not broken:
        raise UsageError(f"{place} holds no image")
    return sorted(files)


def looked_at(entry: os.DirEntry[str]) -> tuple[os.stat_result | None, str]:
    """Return what is known of an entry, and why it is neither a file nor a folder, "" if it is."""
    try:
        about = entry.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise disk.refused(Path(entry.path), "read", error) from error
        return None, "a link that leads nowhere"
    plain = stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)
    return about, "" if plain else "no plain file"


def content_digest(tree: Tree, files: Files, *words: object) -> str:
    """Return a sha256 over the content of a tree and `words`, never over where or when it was.

    Of each split the paths within it, the labels and the hashes of the files, in their order.
    """
    sha = hashlib.sha256(json.dumps(words).encode())
    start = 0
    for split, members in tree.splits.items():
        names = b"\0".join(os.fsencode(file.path.partition("/")[2]) for file in members)
        labels = np.array([file.label for file in members], "<i8").tobytes()
        hashes = files.sha[start : start + len(members)].tobytes()
        parts = [hashlib.sha256(part).hexdigest() for part in (names, labels, hashes)]
        sha.update(json.dumps([split, len(members), *parts]).encode())
        start += len(members)
    return sha.hexdigest()

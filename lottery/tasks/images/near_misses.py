"""Name the layout that a folder without split/class/file almost has, with what to type."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from lottery.tasks.images.pictures import is_picture

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
MEANT = {  # what people call a split, in small letters -> its name here
    "training": "train", "trainset": "train", "training_set": "train", "train_images": "train",
    "testing": "test", "testset": "test", "test_set": "test", "eval": "val", "evaluation": "val",
    "dev": "val", "validate": "val", "val_images": "val",
} | {name: name for name in SPLITS}  # fmt: skip
KNOWN = {  # a file that others leave -> the data set, and how far above its folder data= lies
    "val_annotations.txt": ("tiny_imagenet", 2),
    "wnids.txt": ("tiny_imagenet", 1),
    "data_batch_1.bin": ("cifar10", 1),
    "data_batch_1": ("cifar10", 1),
    "fine_label_names.txt": ("cifar100", 1),
    "train-images-idx3-ubyte": ("mnist", 2),
    "train-images-idx3-ubyte.gz": ("mnist", 2),
    "train_32x32.mat": ("svhn", 0),
}
LEFT_BEHIND = frozenset(  # by macOS, network drives, Windows, a file system's repair
    ("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found")
)
DEPTH = 2  # folders down where a layout is looked for
LOOKED_AT = 50  # entries of a folder


def hint(folder: Path) -> str:
    """Return "; and what may be meant" for a folder without train and test, or nothing."""
    return next((f"; {said}" for said in meant(folder)), "")


def meant(folder: Path) -> Iterator[str]:
    """Yield what may be meant, the likeliest first."""
    yield from published(folder)
    folders = [entry for entry in entries(folder) if entry.is_dir()]
    called = {e.path: MEANT.get(e.name.lower()) for e in folders if e.name not in SPLITS}
    moves = [["mv", old, str(folder / split)] for old, split in called.items() if split]
    if moves:
        names = " and ".join(Path(old).name for _, old, _ in moves)
        verb = "are not their names" if moves[1:] else "is not its name"
        yield f"{names} {verb}: {' && '.join(map(shlex.join, moves))}"
    if folder.absolute().name in SPLITS:
        above = shlex.quote(str(folder.absolute().parent))
        yield f"that is one split alone: give the folder above it, dataset.path={above}"
    for below in inner(folder, DEPTH):
        if any(SPLITS.get(entry.name) == "train" for entry in entries(below)):
            yield f"there is one within it: dataset.path={shlex.quote(str(below.absolute()))}"
    if any(holds_pictures(Path(entry.path)) for entry in folders):
        yield "its folders look like classes: they belong into train, and a part of each into test"
    elif holds_pictures(folder):
        yield "its images lie in no folder: sort them into train/CLASS and test/CLASS"


def published(folder: Path) -> Iterator[str]:
    """Yield the data set whose files lie here, as it is asked for."""
    for entry in entries(folder):
        if entry.name in KNOWN:
            name, up = KNOWN[entry.name]
            above = [folder.absolute(), *folder.absolute().parents][up]
            yield f"these are files of dataset={name} data={shlex.quote(str(above))}"


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return some of what a folder holds, by name; nothing where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            every = [entry for entry, _ in zip(found, range(LOOKED_AT), strict=False)]
    except OSError:
        return []
    return sorted((e for e in every if not hidden(e.name)), key=lambda e: e.name)


def hidden(name: str) -> bool:
    """Say whether a system, not a person, put this entry into a folder."""
    return name.startswith(".") or name in LEFT_BEHIND


def inner(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the folders within a folder, `depth` deep, the nearest first."""
    below = [Path(entry.path) for entry in entries(folder) if entry.is_dir()]
    yield from below
    for each in below if depth > 1 else ():
        yield from inner(each, depth - 1)


def holds_pictures(folder: Path) -> bool:
    """Say whether images lie right in a folder."""
    return any(not entry.is_dir() and is_picture(entry.path) for entry in entries(folder))

"""Offer Tiny ImageNet."""

from pathlib import Path
from typing import Unpack

from lottery.errors import DamagedError, UsageError
from lottery.tasks.images import decoding, folders
from lottery.tasks.images.augmentation import ClassOptions
from lottery.tasks.images.folders import File, Tree
from lottery.tasks.images.images import ImageTask
from lottery.tasks.images.outline import Outline, looking, outline

FOLDER = "tiny-imagenet-200"
FETCH = f"wget http://cs231n.stanford.edu/{FOLDER}.zip && unzip {FOLDER}.zip"
SIDE = 64
CLASSES = 200
EXAMPLES = {"train": 100_000, "test": 10_000}


def tiny_imagenet(
    root: Path, *, workers: int, **options: Unpack[ClassOptions]
) -> ImageTask | Outline:
    """Return 100,000 + 10,000 photographs of 200 classes, [3, 64, 64] (Stanford CS231n).

    From `root`/tiny-imagenet-200, as the archive unpacks, or with val sorted into class folders.
    Its val is the test split, since the labels of its own test split were never published. Decoded
    once, then cached below `root`.
    """
    folder = root / FOLDER
    if looking() and not (folder / "train").is_dir():
        absent = f"Tiny ImageNet is not in {folder.absolute()}"
        return outline((3, SIDE, SIDE), CLASSES, EXAMPLES, options, absent)
    if not (folder / "train").is_dir():
        if root.name == FOLDER and (root / "train").is_dir():
            raise UsageError(f"data={root} is {FOLDER} itself; type data={root.absolute().parent}")
        raise UsageError(
            f"{folder} is no folder; on a machine with a network: cd {root} && {FETCH}"
        )
    names = folders.class_names(folder / "train")
    train = sorted_files(folder, folder / "train", names)
    sorted_out = set(names) & {path.name for path in (folder / "val").glob("*")}
    if sorted_out:
        folders.same_classes(folder / "train", names, folder / "val", sorted(sorted_out))
    test = sorted_files(folder, folder / "val", names) if sorted_out else annotated(folder, names)
    tree = Tree(folder, {"train": train, "test": test}, names)
    return decoding.decoded_task(root, tree, decoding.Form(3, SIDE, SIDE, SIDE), workers, options)


def sorted_files(folder: Path, split: Path, names: list[str]) -> list[File]:
    """Return the files of a split in class folders, or in images/ within those, as many have it."""
    found: list[File] = []
    for label, name in enumerate(names):
        inner = split / name / "images"
        place = inner if inner.is_dir() else split / name
        found += folders.files_below(folder, place, label)
    return found


def annotated(folder: Path, names: list[str]) -> list[File]:
    """Return the files of val with the labels that val_annotations.txt gives them."""
    labels = {name: label for label, name in enumerate(names)}
    notes = folder / "val" / "val_annotations.txt"
    if not notes.is_file():  # to open a pipe would wait for ever
        raise UsageError(f"{notes} is missing; unpack {FOLDER}.zip again")
    try:
        rows = [line.split("\t") for line in notes.read_text().splitlines() if line]
        wanted = {f"val/images/{row[0]}": labels[row[1]] for row in rows}
        files = folders.files_below(folder, folder / "val" / "images", 0)
        return [file._replace(label=wanted[file.path]) for file in files]
    except (LookupError, ValueError) as error:
        why = " ".join(str(error).split())
        raise DamagedError(
            f"{notes} does not fit the images beside it ({why}); unpack {FOLDER}.zip again"
        ) from error

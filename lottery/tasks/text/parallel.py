"""Read pairs of lines: two files for each split, line by line the same in two languages."""

from pathlib import Path

from lottery.errors import UsageError
from lottery.tasks.text.corpora import NAMES, lines_of
from lottery.tasks.text.encoding import typed
from lottery.tasks.text.translation import Pair
from lottery.wording.text import printable, some

ENGLISH = "en"


def pairs_of(root: Path, path: str, languages: list[str]) -> dict[str, list[Pair]]:
    """Return the pairs of train, val and test in a folder: train.en and train.de, and so on.

    `path` is below root, unless absolute; val may be called valid or dev. `languages` are source
    and target; [] = those of the two training files, from English, or from the first by name.
    Pairs of which a side is empty are left out. Raises UsageError for what is not there, not as
    long on both sides, empty or no text.
    """
    if not path:
        raise UsageError(
            "dataset.path: give the folder of train.en, train.de and so on: dataset.path=FOLDER"
        )
    folder = root / Path(path).expanduser()
    if not folder.is_dir():
        here = Path(path).expanduser()
        near = f"type {typed(f'dataset.path={here.resolve()}')}" if here.is_dir() else ""
        what = "is no folder" if folder.exists() else "is not there"
        hint = near or "give a folder with train.en, train.de and so on"
        raise UsageError(f"dataset.path: {printable(folder)} {what}; {hint}")
    if languages and len({*languages}) != 2 or len(languages) > 2:
        raise UsageError(
            f"dataset.languages=[{','.join(languages)}]: these are source and target, two of the "
            "endings of the files; type dataset.languages=[en,de]"
        )
    files = {file.name: file for file in sorted(folder.iterdir()) if file.is_file()}
    source, target = languages or found(folder, [*files])
    splits = {}
    for split, names in NAMES.items():
        sides = [side(folder, files, names, language) for language in (source, target)]
        one, other = map(lines_of, sides)
        if len(one) != len(other):
            raise UsageError(
                f"dataset.path: {printable(sides[0])} has {len(one)} lines and {sides[1].name} "
                f"{len(other)}; give files of which line n of one is line n of the other"
            )
        pairs = [(a.strip(), b.strip()) for a, b in zip(one, other, strict=True)]
        splits[split] = [(a, b) for a, b in pairs if a and b]
        if not splits[split]:
            raise UsageError(
                f"dataset.path: no line of {printable(sides[0])} has words on both sides; give a "
                "text that has"
            )
    return splits


def found(folder: Path, names: list[str]) -> tuple[str, str]:
    """Return source and target of a folder, by the endings of its training files."""
    endings = sorted(name.removeprefix("train.") for name in names if name.startswith("train."))
    if len(endings) != 2:
        there = f"these: {some(names)}" if names else "no file"
        todo = f"; type dataset.languages=[{','.join(endings[:2])}]" if len(endings) > 2 else ""
        raise UsageError(
            f"dataset.path: {printable(folder)} has not two training files, such as train.en and "
            f"train.de, but {there}{todo}"
        )
    if ENGLISH in endings[1:]:
        endings.reverse()
    return endings[0], endings[1]


def side(folder: Path, files: dict[str, Path], names: tuple[str, ...], language: str) -> Path:
    """Return the file of a split in a language."""
    for name in names:
        if (file := files.get(f"{name}.{language}")) is not None:
            return file
    wanted = " or ".join(f"{name}.{language}" for name in names)
    raise UsageError(
        f"dataset.path: {printable(folder)} has no {wanted}; "
        "it takes train, val and test in both languages (dataset.languages=[source,target])"
    )

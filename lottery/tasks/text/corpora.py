"""Read paragraphs: of a folder with three texts, of one text that is cut in three, of Python.

A paragraph is a line. Whoever makes tokens of them says what a line's end is worth.
"""

import itertools
import re
from bisect import bisect
from pathlib import Path

import torch

from lottery.errors import UsageError
from lottery.tasks.text.encoding import decoded, typed
from lottery.terms import seeds
from lottery.wording.text import printable, some

Paragraphs = dict[str, list[str]]  # train, val and test -> lines, empty ones too

NAMES = {"train": ("train",), "val": ("valid", "val", "dev"), "test": ("test",)}
LONG = 500  # letters of a line that can be broken
USUAL = "dataset.validation=0.1 dataset.test=0.1"
WIDER = (0.2, 0.3, 0.33)  # shares to try where those asked for leave a split without a line
UNDERLINE = re.compile(r"\s*([^\w\s])\1{2,}\s*")  # of a heading; says nothing


def text_of(root: Path, path: str, validation: float, test: float) -> Paragraphs:
    """Return the paragraphs of a folder's three texts, or of one file cut in three.

    `path` is below root, unless absolute. A folder has one file each with train, valid (val, dev)
    and test in its name, as WikiText's, and the shares are not used. The lines of a single file are
    training text from the top, then those shares for validation and test. Raises UsageError for
    what is not there, not three, empty or no text.
    """
    if not path:
        raise UsageError("dataset.path: name a text, or a folder with three: dataset.path=FILE")
    place = root / Path(path).expanduser()
    if not place.exists():
        here = Path(path)
        near = f"type {typed(f'dataset.path={here.resolve()}')}" if here.exists() else ""
        hint = near or "give a text, or a folder with three: dataset.path=FILE"
        raise UsageError(f"dataset.path: there is no {printable(place)}; {hint}")
    if place.is_dir():
        return {split: lines_of(file) for split, file in three(place).items()}
    if not place.is_file():
        raise UsageError(
            f"dataset.path: {printable(place)} is no file; name a text, or a folder with three"
        )
    return cut(lines_of(place), str(place), validation, test)


def three(folder: Path) -> dict[str, Path]:
    """Return the files of a folder for training, validation and test."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    found: dict[str, Path] = {}
    for split, words in NAMES.items():
        fitting = [p for p in files if any(word in p.name.lower() for word in words)]
        if not fitting:
            there = some([p.name for p in files]) or "no file"
            raise UsageError(
                f"dataset.path: {printable(folder)} has no text with {' or '.join(words)} in "
                f"its name (it has: {there}); for one text that is cut in three give the file "
                "itself"
            )
        if len(fitting) > 1:
            raise UsageError(
                f"dataset.path: {printable(folder)} has several files with {' or '.join(words)} in "
                f"their names, {some([p.name for p in fitting])}; keep one"
            )
        found[split] = fitting[0]
    return found


def lines_of(file: Path) -> list[str]:
    """Return the lines of a UTF-8 text file; raises UsageError for one that is none, or empty."""
    try:
        text = decoded(file.read_bytes(), file)
    except OSError as error:
        raise UsageError(
            f"dataset.path: {printable(file)} cannot be read ({error.strerror}); type: "
            f"ls -l {typed(file)}"
        ) from error
    if not text.strip():
        raise UsageError(f"dataset.path: {printable(file)} has no words; give a text that has")
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def shares(validation: float, test: float, whole: str = "text") -> None:
    """Raise UsageError for shares of a text, or of pairs, that leave nothing to train on."""
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise UsageError(
                f"dataset.{name}={share:g} is a share of the {whole}, between 0 and 1; type "
                f"dataset.{name}=0.1"
            )
    if validation + test >= 1:
        raise UsageError(
            f"dataset.validation={validation:g} and dataset.test={test:g} leave nothing to train "
            f"on; type {USUAL}"
        )


def cut(lines: list[str], name: str, validation: float, test: float) -> Paragraphs:
    """Return the lines of one text in three: test at the end, validation before it."""
    shares(validation, test)
    found = thirds(lines, validation, test)
    if (lacking := bare(found)) is None:
        return found
    broken = [line[at : at + LONG] for line in lines for at in range(0, len(line) or 1, LONG)]
    wider = next((share for share in WIDER if bare(thirds(lines, share, share)) is None), None)
    if bare(thirds(broken, validation, test)) is None:
        todo = f"break long ones: fold -s -w {LONG} {typed(name)} > NEW"
    elif wider is not None:
        todo = f"type dataset.validation={wider} dataset.test={wider}"
    else:
        todo = "it is too short: give a longer text, dataset.path=FILE"
    raise UsageError(
        f"dataset.path: {printable(name)} has too few lines to be cut in three ({len(lines)}; "
        f"none is left for {lacking}); {todo}"
    )


def thirds(lines: list[str], validation: float, test: float) -> Paragraphs:
    """Return lines in three, of which one may have none."""
    ends = list(itertools.accumulate(len(line) + 1 for line in lines))
    first, last = (bisect(ends, ends[-1] * (1 - share)) for share in (validation + test, test))
    return {"train": lines[:first], "val": lines[first:last], "test": lines[last:]}


def bare(found: Paragraphs) -> str | None:
    """Return the first split without a word; None where each has some."""
    return next((s for s, own in found.items() if not any(map(str.strip, own))), None)


def python_topics() -> dict[str, list[str]]:
    """Return the topics of Python's help, with the paragraphs of each, none of them twice.

    What stands in several topics is left to the first by name, so that no paragraph of one split
    stands in another. Raises UsageError for a Python that came without them.
    """
    try:
        from pydoc_data.topics import topics  # 0.5 MB that nothing else reads
    except ImportError as error:
        raise UsageError(
            f"dataset=python_docs: this Python has no pydoc_data.topics ({error}); type "
            "dataset=wikitext dataset.path=FILE for a text of your own"
        ) from error
    seen: set[str] = set()
    found = {}
    for name in sorted(topics):
        every = [joined(block) for block in re.split(r"\n\s*\n", topics[name])]
        found[name] = [p for p in dict.fromkeys(every) if p and p not in seen]
        seen.update(every)
    return {name: paragraphs for name, paragraphs in found.items() if paragraphs}


def joined(block: str) -> str:
    """Return the lines of a paragraph as one, without those that underline a heading."""
    kept = (line.strip() for line in block.split("\n") if not UNDERLINE.fullmatch(line))
    return " ".join(line for line in kept if line)


def by_topic(topics: dict[str, list[str]], validation: float, test: float, seed: int) -> Paragraphs:
    """Return whole topics for each split, drawn by a seed, near those shares of the text.

    A topic goes to the first of test and validation that still lacks as much; within a split
    topics are in order of their names.
    """
    shares(validation, test)
    sizes = {name: sum(map(len, paragraphs)) for name, paragraphs in topics.items()}
    missing = {"test": test * sum(sizes.values()), "val": validation * sum(sizes.values())}
    names = sorted(topics)
    draw = torch.randperm(len(names), generator=seeds.generator("topics", seed)).tolist()
    chosen: dict[str, str] = {}
    for name in (names[n] for n in draw):
        chosen[name] = next((s for s, left in missing.items() if sizes[name] <= left), "train")
        if chosen[name] in missing:
            missing[chosen[name]] -= sizes[name]
    return {
        split: [line for name in names if chosen[name] == split for line in topics[name]]
        for split in NAMES
    }

"""Read tables of text: TSV, CSV and JSONL as they lie on a disk."""

import csv
import io
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lottery.errors import UsageError
from lottery.storage import disk
from lottery.storage.files import read_plain
from lottery.tasks.text.sentences import Rows
from lottery.wording.settings import hint
from lottery.wording.text import first_line, printable

LARGEST = 4_000_000_000  # bytes of a file
SPARED = 0.01  # share of the rows that may be short of a column
SPLITS = {"train": ("train",), "val": ("valid", "val"), "test": ("test", "dev")}
ENDS = (".tsv", ".csv", ".jsonl", ".json", ".txt")


class Columns(NamedTuple):
    """Where things stand: names of columns, or their numbers from 0 in a table without names."""

    texts: tuple[str, ...]
    label: str
    named: bool = True


def content(path: Path, setting: str, wanted: str) -> bytes:
    """Return the bytes of a file; raises UsageError, with what is `wanted`, where there is none."""
    if path.is_dir():
        raise UsageError(f"{setting}: {printable(path)} is a folder; {wanted}")
    if not path.exists():
        raise UsageError(f"{setting}: {printable(path)} is not there; {wanted}")
    try:
        data = read_plain(path, LARGEST)
    except OSError as error:
        raise disk.refused(path, "read", error) from error
    except ValueError as error:
        raise UsageError(f"{setting}: {printable(path)}: {error}; {wanted}") from error
    if not data.strip():
        raise UsageError(f"{setting}: {printable(path)} is empty; {wanted}")
    return data


def examples(path: Path, columns: Columns) -> list[tuple[tuple[str, ...], str]]:
    """Return the texts and the label of each row of a table, as words.

    Rows short of a column are left out, with a warning; raises UsageError where they are many, and
    for a table without such columns.
    """
    wanted = "give a table of text: TSV, CSV or JSONL"
    data = content(path, "dataset.path", wanted)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"dataset.path: {printable(path)} is no text in UTF-8 (byte {error.start}); type: "
            f"iconv -f LATIN1 -t UTF-8 {path} > NEW"
        ) from error
    lines = of_json(text, path) if path.suffix in (".jsonl", ".json") else of_cells(text, path)
    names = [str(cell) for cell in lines[0]] if columns.named else []
    body = lines[1:] if columns.named else lines
    places = [place(c, names, path) for c in (*columns.texts, columns.label)]
    found = []
    for cells in body:
        if len(cells) > max(places) and all(cells[at] is not None for at in places):
            *texts, label = (str(cells[at]).strip() for at in places)
            found.append((tuple(texts), label))
    lost = len(body) - len(found)
    if not found or lost > SPARED * len(body):
        raise UsageError(
            f"dataset.path: {printable(path)}: {lost} of {len(body)} rows lack a column of "
            f"{', '.join((*columns.texts, columns.label))}; {wanted} that has them"
        )
    if lost:
        print(f"lottery: warning: {printable(path)}: {lost} rows lack a column, and are left out",
              file=sys.stderr)  # fmt: skip
    return found


def place(column: str, names: Sequence[str], path: Path) -> int:
    """Return the number of a column, by its name or by itself; raises UsageError."""
    if column in names:
        return names.index(column)
    if not names and column.isdecimal():
        return int(column)
    raise UsageError(
        f"dataset: {printable(path)} has no column '{printable(column)}'; "
        + (hint(names, column) if names else "without names type its number, from 0")
    )


def of_cells(text: str, path: Path) -> list[list[Any]]:
    """Return the rows of a table: CSV as it is quoted, else apart by tabs, quotes as they are."""
    if path.suffix != ".csv":
        return [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip()]
    try:
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise UsageError(
            f"dataset.path: {printable(path)} is no CSV ({first_line(error)}); write quotes in a "
            "cell twice, or give a TSV"
        ) from error


def of_json(text: str, path: Path) -> list[list[Any]]:
    """Return the rows of JSONL, the names of their keys first."""
    found: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            if not isinstance(said, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"dataset.path: {printable(path)}, line {number}: {first_line(error)}; each line "
                "of JSONL is an object"
            ) from error
        found.append(said)
    names = list(dict.fromkeys(key for row in found for key in row))
    return [names, *([row.get(name) for name in names] for row in found)]


def tables_in(path: Path) -> dict[str, Path]:
    """Return the tables of a folder by split: train, test (or dev), and perhaps val.

    A test without labels is none of use, so where there is a dev beside it, dev is the test split.
    """
    files = sorted(p for p in path.iterdir() if p.suffix in ENDS and p.is_file())
    found: dict[str, Path] = {}
    for split, words in SPLITS.items():
        fitting = [p for word in reversed(words) for p in files if p.stem.lower().startswith(word)]
        if fitting:
            found[split] = fitting[0]
    for split in ("train", "test"):
        if split not in found:
            there = ", ".join(p.name for p in files[:8]) or "no table"
            raise UsageError(
                f"dataset.path: {printable(path)} has no table whose name begins with "
                f"{' or '.join(SPLITS[split])} (it has: {printable(there)}); for one table that "
                "is cut in two give the file itself"
            )
    return found


def as_labels(words: dict[str, list[str]], rated: bool) -> tuple[dict[str, list[float]], list[str]]:
    """Return labels as numbers by split, and the classes in their order; numbers have none.

    Classes are those of the training split: whole numbers by their size, words by the alphabet.
    Raises UsageError for a label that is none of them, or no number where one is wanted.
    """
    if rated:
        return {split: [number(word) for word in some] for split, some in words.items()}, []
    every = sorted(set(words["train"]))
    if all(word.lstrip("-").isdecimal() for word in every):
        every.sort(key=int)
    if not 2 <= len(every) <= max(2, len(words["train"]) // 2):
        raise UsageError(
            f"dataset.label: the training rows have {len(every)} different labels; choose another "
            "column, or type dataset.rated=true where labels are numbers"
        )
    at = {word: n for n, word in enumerate(every)}
    for split, some in words.items():
        if other := next((word for word in some if word not in at), None):
            raise UsageError(
                f"dataset.label: the {split} rows have '{printable(other)[:40]}', and the training "
                f"rows {printable(', '.join(every[:8]))}"
            )
    return {split: [float(at[word]) for word in some] for split, some in words.items()}, every


def number(word: str) -> float:
    """Return a label that is a number; raises UsageError for another."""
    try:
        found = float(word)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UsageError(
            f"dataset.label: '{printable(word)[:40]}' is no number; type dataset.rated=false"
        )
    return found


def rows_by_split(
    tables: dict[str, list[tuple[tuple[str, ...], str]]], rated: bool
) -> tuple[dict[str, Rows], int]:
    """Return examples by split, and the number of classes; 1 where labels are numbers."""
    labels, classes = as_labels({s: [label for _, label in t] for s, t in tables.items()}, rated)
    rows = {split: Rows([texts for texts, _ in t], labels[split]) for split, t in tables.items()}
    return rows, len(classes) or 1

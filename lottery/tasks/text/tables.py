"""Read tables of text: TSV, CSV and JSONL as they lie on a disk."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lottery.errors import UsageError
from lottery.storage import disk
from lottery.storage.files import read_plain
from lottery.tasks.text.encoding import decoded
from lottery.tasks.text.labels import Row
from lottery.wording.settings import hint
from lottery.wording.text import first_line, printable

LARGEST = 4_000_000_000  # bytes of a file
SPARED = 0.01  # share of the rows that may be short of a column
SPLITS = {"train": ("train",), "val": ("valid", "val"), "test": ("test", "dev")}
ENDS = (".tsv", ".csv", ".jsonl", ".json", ".txt")

Line = tuple[int, list[Any]]  # the number of a row's first line, from 1, and its cells


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


def examples(path: Path, columns: Columns) -> list[Row]:
    """Return the texts and the label of each row of a table, as words.

    Rows short of a column or a label are left out, with a warning; raises UsageError where they are
    many, and for a table without such columns.
    """
    wanted = "give a table of text: TSV, CSV or JSONL"
    text = decoded(content(path, "dataset.path", wanted), path)
    objects = path.suffix in (".jsonl", ".json")
    lines = of_json(text, path) if objects else of_cells(text, path)
    named = objects or columns.named  # objects always have names
    names = [str(cell) for cell in lines[0][1]] if named and lines else []
    body = lines[1:] if named else lines
    if not body:
        raise UsageError(f"dataset.path: {printable(path)} has no rows; {wanted} that has")
    places = [place(c, names, path) for c in (*columns.texts, columns.label)]
    found = []
    for number, cells in body:
        if len(cells) <= max(places) or any(cells[at] is None for at in places):
            continue
        odd = next((at for at in places if isinstance(cells[at], list | dict)), None)
        if odd is not None:
            kind = "a list" if isinstance(cells[odd], list) else "an object"
            raise UsageError(
                f"dataset.path: {printable(path)}, line {number}: {printable(names[odd])} is "
                f"{kind}, where a text, a number, true or false is wanted; write it as a text"
            )
        *texts, label = (str(cells[at]).strip() for at in places)
        if label:
            found.append(Row(tuple(texts), label, number))
    lost = len(body) - len(found)
    if not found or lost > SPARED * len(body):
        raise UsageError(
            f"dataset.path: {printable(path)}: {lost} of {len(body)} rows {lacks(lost)} of "
            f"{', '.join((*columns.texts, columns.label))}; {wanted} that has them"
        )
    if lost:
        print(
            f"lottery: warning: {printable(path)}: {lost} row{'s'[lost == 1 :]} {lacks(lost)}, and "
            f"{'is' if lost == 1 else 'are'} left out",
            file=sys.stderr,
        )
    return found


def lacks(number: int) -> str:
    """Say that so many rows are short of a cell."""
    return f"lack{'s'[number != 1 :]} a column"


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


def of_cells(text: str, path: Path) -> list[Line]:
    """Return the rows of a table: CSV as it is quoted, else apart by tabs, quotes as they are."""
    if path.suffix != ".csv":
        lines = enumerate(text.split("\n"), 1)
        return [(n, line.rstrip("\r").split("\t")) for n, line in lines if line.strip()]
    before = csv.field_size_limit(len(text) + 1)  # a cell may be as long as the file
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: list[Line] = []
    number = 1
    try:
        for row in reader:
            if row:
                found.append((number, row))
            number = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(
            f"dataset.path: {printable(path)} is no CSV: the row of line {number} has a quote that "
            f"does not end its cell ({first_line(error)}); write quotes in a cell twice, or give a "
            "TSV"
        ) from error
    finally:
        csv.field_size_limit(before)
    return found


def of_json(text: str, path: Path) -> list[Line]:
    """Return the rows of JSONL, the names of their keys first; numbers are as they are spelled."""
    found: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
            if not isinstance(said, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"dataset.path: {printable(path)}, line {number}: {first_line(error)}; each line "
                "of JSONL is an object"
            ) from error
        found.append((number, {key: spelled(value) for key, value in said.items()}))
    names = list(dict.fromkeys(key for _, row in found for key in row))
    return [(0, names), *((number, [row.get(name) for name in names]) for number, row in found)]


def spelled(value: Any) -> Any:
    """Return true and false as JSON has them, and anything else as it is."""
    return ("false", "true")[value] if isinstance(value, bool) else value


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

"""Make numbers of the labels of a table: classes in their order, or what each row is rated."""

import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from lottery.errors import UsageError
from lottery.tasks.text.sentences import Rows
from lottery.wording.text import printable

NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{0,300})?([eE][+-]?[0-9]{1,2})?")
COLUMN = "choose another column: dataset.label=NAME"
NAMES = {"train": "training"}  # a split in words; others are as they are


class Row(NamedTuple):
    """A row of a table as it was read, and the line of the file that it begins in, from 1."""

    texts: tuple[str, ...]
    label: str
    line: int


Tables = Mapping[str, Sequence[Row]]  # by split


def rows_by_split(tables: Tables, rated: bool, own: bool = True) -> tuple[dict[str, Rows], int]:
    """Return examples by split, and the number of classes; 1 where labels are numbers.

    `own` says whether the user chooses the column and what it is taken for. Raises UsageError for
    a label that is no class of the training rows, or no number where one is wanted.
    """
    try:
        labels, number = (numbers(tables), 1) if rated else classes(tables)
    except UsageError as error:
        if own:
            raise
        said = str(error).partition(":")[2].rpartition(";")[0]
        raise UsageError(
            f"dataset.path:{said}; give the files as they are distributed: dataset.path=FOLDER"
        ) from error
    rows = {split: Rows([row.texts for row in t], labels[split]) for split, t in tables.items()}
    return rows, number


def numbers(tables: Tables) -> dict[str, list[float]]:
    """Return labels as the numbers that they are, by split; raises UsageError for another."""
    if odd := no_numbers(tables):
        said = f"dataset.label: {odd[0]} is no number" + others(odd, ", nor is that of ")
        if few(odd, tables):
            raise UsageError(f"{said}; take {'them' if odd[1:] else 'the row'} out")
        fitting = fit(in_order(tables["train"]), tables)
        raise UsageError(f"{said}; {'type dataset.rated=false' if fitting else COLUMN}")
    return {split: [float(row.label) for row in rows] for split, rows in tables.items()}


def classes(tables: Tables) -> tuple[dict[str, list[float]], int]:
    """Return labels as classes from 0, by split, and how many there are; raises UsageError.

    Classes are those of the training split: whole numbers by their size, however each is written,
    or words by the alphabet.
    """
    every = in_order(tables["train"])
    if not fit(every, tables):
        odd, todo = no_numbers(tables), COLUMN
        if len(every) > 1 and not odd:
            todo += ", or type dataset.rated=true, since its labels are numbers"
        elif len(every) > 1 and few(odd, tables):
            todo += f", or take out {odd[0]}{others(odd, ' and ')} and type dataset.rated=true"
        raise UsageError(
            f"dataset.label: the training rows have {len(every)} different "
            f"label{'s'[len(every) == 1 :]}; {todo}"
        )
    at = {label: float(n) for n, label in enumerate(every)}
    words = {row.label for rows in tables.values() for row in rows}
    made = whole if isinstance(every[0], int) else str
    known = {word: at[value] for word in words if (value := made(word)) in at}
    for split, rows in tables.items():
        strange = next((row for row in rows if row.label not in known), None)
        if strange is not None:
            raise UsageError(
                f"dataset.label: {named(split, strange)} is none of the labels of the training "
                f"rows, {printable(', '.join(map(str, every[:8])))}; take the row out"
            )
    return {split: [known[row.label] for row in rows] for split, rows in tables.items()}, len(every)


def in_order(rows: Sequence[Row]) -> list[int] | list[str]:
    """Return the different labels: where all are whole numbers by size, else by the alphabet."""
    words = {row.label for row in rows}
    values = [whole(word) for word in words]
    known = {value for value in values if value is not None}
    return sorted(words) if None in values else sorted(known)


def whole(word: str) -> int | None:
    """Return the whole number that a word is, as 1, 01, -1.0 or 1e3; None for another word."""
    if not NUMBER.fullmatch(word):
        return None
    value = Fraction(word)
    return value.numerator if value.denominator == 1 else None


def fit(every: Sequence[object], tables: Tables) -> bool:
    """Say whether so many labels can be classes of the training rows."""
    return 2 <= len(every) <= max(2, len(tables["train"]) // 2)


def no_numbers(tables: Tables) -> list[str]:
    """Return the labels, with their rows, that are no finite numbers."""
    return [named(split, r) for split, rows in tables.items() for r in rows if not finite(r.label)]


def finite(word: str) -> bool:
    """Say whether a word is a number that is neither infinite nor NaN."""
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def few(odd: Sequence[str], tables: Tables) -> bool:
    """Say whether those labels are half of all or fewer."""
    return 2 * len(odd) <= sum(map(len, tables.values()))


def named(split: str, row: Row) -> str:
    """Return a label and where it stands."""
    where = f"line {row.line} of the {NAMES.get(split, split)} rows"
    return f"'{printable(row.label)[:40]}' ({where})"


def others(odd: Sequence[str], between: str) -> str:
    """Say how many more there are than the first."""
    rows = "1 other row" if len(odd) == 2 else f"{len(odd) - 1} other rows"
    return f"{between}{rows}" if odd[1:] else ""

"""Read what analyses found, and show it over replicates. Imports no torch."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lottery.errors import DamagedError
from lottery.results import stats
from lottery.results.facts import Facts, recorded
from lottery.results.formats import aligned, numeral
from lottery.results.results import read_table
from lottery.storage.records import FINDINGS, read_manifest
from lottery.terms.metric import LOSS, SPLITS, Metric
from lottery.wording.text import printable

PLACES = ("level", "density", "step", "alpha")  # numbers that say of what a row is
OF = ("mask", "layer")  # words that do
Laid = tuple[list[str], list[list[str]], list[str]]  # heads, rows, heads of numbers
LARGE = 10_000  # numbers from here on have no decimals
HALF = " half"  # of an interval: ends the name of its column
NEEDED = {"level", "density", "settings", "key"}


def found(folder: Path) -> dict[str, list[str]]:
    """Return the files of a run that hold what analyses found, by the name of the table."""
    files: dict[str, list[str]] = {}
    for name in read_manifest(folder)["files"]:
        if match := FINDINGS.fullmatch(name):
            files.setdefault(match[1], []).append(name)
    return files


def rows(folder: Path, name: str) -> pd.DataFrame:
    """Return what an analysis found of a run, under all of its settings; empty for nothing.

    Raises DamagedError for a file that is not as it was written, or no such table.
    """
    tables = []
    for file in found(folder).get(name, []):
        table = read_table(folder, file)
        if len(table) and not {*table} >= NEEDED:
            raise DamagedError(f"{folder / file} is no table of an analysis")
        tables += [table] if len(table) else []
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def words(settings: str) -> set[str]:
    """Return what can be typed of the settings of an analysis: points=5, and parts of lists."""
    return {*re.split(r"[\s,\[\]]+", settings)} - {""}


def names(folders: Sequence[Path]) -> list[str]:
    """Return the tables that people read of some runs: those of analyses, not what is behind."""
    every = {name: None for folder in folders for name in found(folder)}
    return [n for n in every if not any(n.startswith(f"{other}_") for other in every)]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row a place: `n` replicates, the mean of each number and half its 95 % interval.

    Places are levels, steps, masks and layers. Of other words, as yes and no, it is said how many
    replicates have each.
    """
    columns = [str(c) for c in table]
    numbers = [c for c in columns if pd.api.types.is_numeric_dtype(table[c]) and c not in PLACES]
    places = [c for c in columns if c in ("level", "settings", "step", "alpha", *OF)]
    words = [c for c in columns if c not in (*numbers, *places, "density", "key", "replicate")]
    made = []
    for place, part in table.groupby(places, sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(places, place, strict=True))
        row |= {"density": part["density"].mean(), "n": len(part)}
        for column in numbers:
            mean, low, high = stats.interval(part[column].tolist())
            row |= {column: mean, f"{column}{HALF}": (high - low) / 2}
        for column in words:
            counts = part[column].value_counts()
            each = (f"{word} {number}" for word, number in counts.items())
            row[column] = ", ".join(each if len(counts) > 1 else map(str, counts.index))
        made.append(row)
    order = [c for c in columns if c not in ("key", "replicate", "settings")]
    found = pd.DataFrame(made)
    halves = [f"{c}{HALF}" for c in numbers]
    return found[["settings", *order[:2], "n", *order[2:], *halves]]


def of_config(folders: Sequence[Path], wanted: Sequence[str] = ()) -> Iterator[tuple[str, Laid]]:
    """Yield what analyses found of one config's replicates: a title, and the table laid out."""
    metric = Facts(folders[0]).metric
    for name in [n for n in names(folders) if not wanted or n in wanted]:
        tables = []
        for folder in folders:
            recorded(folder)
            tables.append(rows(folder, name).assign(replicate=folder.name))
        every = pd.concat(tables, ignore_index=True)
        for settings, part in every.groupby("settings", sort=False) if len(every) else ():
            yield f"analysis {settings}", laid(summary(part), metric)


def texts(folders: Sequence[Path], wanted: Sequence[str] = ()) -> Iterator[str]:
    """Yield the same as text for a terminal."""
    for title, table in of_config(folders, wanted):
        yield f"{printable(title)}\n{aligned(*table)}"


def laid(table: pd.DataFrame, metric: Metric) -> Laid:
    """Return a summary laid out: means, with half of their interval where there are several."""
    every = [str(c) for c in table if str(c) != "settings" and table[c].notna().any()]
    numbers = [str(c).removesuffix(HALF) for c in table if str(c).endswith(HALF)]
    columns = [c for c in every if not c.endswith(HALF)]
    if not (table["n"] > 1).any():
        columns.remove("n")

    def cell(column: str, row: dict[Any, Any]) -> str:
        value = row[column]
        if column in numbers:
            half = row[f"{column}{HALF}"]
            wide = 2 * half
            reach = f" \N{PLUS-MINUS SIGN} {shown(column, half, wide, metric)}"
            return shown(column, value, wide, metric) + ("" if pd.isna(half) else reach)
        return f"{value:.4f}" if column == "density" else printable(str(value))

    heads = {c: c.replace("_", " ") + " %" * percent(c, metric) for c in columns}
    cells = [[cell(c, row) for c in columns] for row in table.to_dict("records")]
    right = [heads[c] for c in columns if c in (*numbers, *PLACES, "n")]
    return [*heads.values()], cells, right


def measured(column: str) -> bool:
    """Say whether a column is in the metric's unit: it begins with a split, and is no loss."""
    split, _, rest = column.partition("_")
    return split in SPLITS and bool(rest) and not rest.startswith(LOSS.name)


def percent(column: str, metric: Metric) -> bool:
    """Say whether a column is shown in per cent."""
    return measured(column) and metric.percent


def shown(column: str, value: float, wide: float, metric: Metric) -> str:
    """Return a number for people, as sure as its interval is `wide`; NaN for none."""
    if measured(column) and metric.in_points:
        return metric.shown(value)
    if pd.isna(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= LARGE else numeral(value, wide)

"""Read what analyses found of several runs, and lay it out. Imports no torch.

It lies in analyses/ in the folder of the runs' name, or beside the names where they have several:
NAME-KEY.csv, NAME_WORD-KEY.csv, and NAME-KEY.json, which is written last and vouches for them.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lottery.errors import DamagedError, DiskError
from lottery.results.analyses import Laid, measured, shown
from lottery.results.formats import aligned
from lottery.storage.files import TABLE, digest, read_plain
from lottery.storage.records import ANALYSES, read_signed
from lottery.terms.metric import Metric, metrics_of
from lottery.wording.text import near, printable

LONGEST = 24  # rows of a table that is shown; of a longer one it is said where it lies
PERCENT = "_percent"  # ends the name of a column that holds per cent
FIELDS = {"analysis": str, "settings": str, "runs": list, "notes": list, "files": dict, "at": str}


@dataclass(frozen=True)
class Finding:
    """What an analysis found of several runs under some settings."""

    path: Path  # its record
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the analysis."""
        return str(self.record["analysis"])

    @property
    def title(self) -> str:
        """What was asked, and of how many runs, in words."""
        return f"analysis {self.record['settings']}, of {len(self.record['runs'])} runs"

    @property
    def words(self) -> list[str]:
        """The tables, "" the one of the analysis' own name."""
        return list(self.record["files"])

    def file(self, word: str) -> Path:
        """Return where a table lies."""
        return self.path.parent / file_of(self.name, self.path.stem.rpartition("-")[2], word)

    def table(self, word: str) -> pd.DataFrame:
        """Return a table; raises DamagedError where it is not as it was written."""
        path = self.file(word)
        try:
            data = read_plain(path, TABLE)
        except OSError as error:
            raise DamagedError(f"{path} cannot be read ({error.strerror})") from error
        if digest(data) != self.record["files"][word]:
            raise DamagedError(f"{path} is damaged (its checksum is wrong)")
        return pd.read_csv(io.BytesIO(data))


def file_of(name: str, key: str, word: str = "") -> str:
    """Return what a table is called."""
    return f"{name}{f'_{word}' if word else ''}-{key}.csv"


def place_of(folders: Sequence[Path]) -> Path:
    """Return the folder in which what is found of some replicate folders lies."""
    names = {folder.parents[1] for folder in folders}
    return (names.pop() if len(names) == 1 else folders[0].parents[2]) / ANALYSES


def read(path: Path) -> Finding:
    """Return what a record vouches for; raises FileNotFoundError, DamagedError."""
    record = read_signed(path)
    for field, kind in FIELDS.items():
        if not isinstance(record.get(field), kind):
            raise DamagedError(f"{path} is damaged (it is no record of an analysis)")
    return Finding(path, record)


def findings(folders: Sequence[Path]) -> list[Finding]:
    """Return what was found of these runs, or of some of them; of the same question the last.

    What is damaged is left out with a warning that says what to type.
    """
    runs = {"/".join(folder.parts[-3:]) for folder in folders}
    places = {place: None for f in folders for place in (f.parents[1], f.parents[2])}
    latest: dict[tuple[Path, str], Finding] = {}
    for place in places:
        for path in sorted((place / ANALYSES).glob("*-*.json")):
            try:
                found = read(path)
                for word in found.words:
                    found.table(word)
            except (DamagedError, DiskError) as error:
                name = path.stem.rpartition("-")[0]
                again = f"lottery analyze RUN... analysis={name} makes it again"
                warnings.warn(f"{error} is left out: {again}", stacklevel=2)
                continue
            if not runs >= set(found.record["runs"]):
                continue
            same = (path.parent, str(found.record["settings"]))
            if same not in latest or latest[same].record["at"] <= found.record["at"]:
                latest[same] = found
    return list(latest.values())


def names(folders: Sequence[Path]) -> list[str]:
    """Return the tables that there are, by name: scaling_law, scaling_law_points, ..."""
    every = (f"{f.name}_{w}" if w else f.name for f in findings(folders) for w in f.words)
    return list(dict.fromkeys(every))


def rows(folders: Sequence[Path], name: str) -> pd.DataFrame:
    """Return a table under all settings, which stand in its first column; empty for none."""
    tables = []
    for found in findings(folders):
        for word in found.words:
            if name == (f"{found.name}_{word}" if word else found.name):
                table = found.table(word)
                table.insert(0, "settings", found.record["settings"])
                tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def tables(found: Finding) -> Iterator[tuple[str, Laid]]:
    """Yield the short tables of a finding: title and what is shown; "" for the first title."""
    metric = metrics_of(found.record)[0]
    for word in found.words:
        table = found.table(word)
        if len(table) <= LONGEST:
            yield word, laid(table, metric)


def text(found: Finding) -> str:
    """Return a finding as text for a terminal."""
    short = {word: f"{word}\n" * bool(word) + aligned(*table) for word, table in tables(found)}
    parts = [printable(found.title)]
    parts += [short[word] for word in found.words if word in short]
    parts += [f"note: {printable(line)}" for line in found.record["notes"]]
    for word in found.words:
        count = len(found.table(word)) if word not in short else 0
        parts += [f"{word}: {count} rows in {near(found.file(word))}"] * bool(count)
    first, *rest = parts
    return f"{first}\n" + "\n\n".join(rest)


def laid(table: pd.DataFrame, metric: Metric) -> Laid:
    """Return a table as text: heads, cells, and the heads of numbers."""
    columns = [str(c) for c in table if table[c].notna().any()]
    numbers = [c for c in columns if pd.api.types.is_numeric_dtype(table[c])]

    def head(column: str) -> str:
        unit = " %" if column.endswith(PERCENT) or (measured(column) and metric.percent) else ""
        return column.removesuffix(PERCENT).replace("_", " ") + unit

    def cell(column: str, value: Any) -> str:
        if pd.isna(value):
            return ""
        if column not in numbers:
            return printable(str(value))
        if column.endswith(PERCENT):
            return f"{value:.2f}"
        if column == "density":
            return f"{value:.4f}"
        return shown(column, float(value), float("nan"), metric)

    cells = [[cell(c, row[c]) for c in columns] for row in table.to_dict("records")]
    return [*map(head, columns)], cells, [*map(head, numbers)]

"""Read outputs/ back as tidy pandas tables. Imports no torch."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lottery.errors import DamagedError
from lottery.results import formats
from lottery.results.facts import recorded
from lottery.storage import records
from lottery.storage.files import digest, read_plain
from lottery.storage.records import checked
from lottery.terms.metric import ACCURACY, Metric
from lottery.wording.text import first_line, printable

NUMBERS = ("level", "density", "compression", "kept", "total")  # columns of every table of levels
WIDTHS = (5, 9, 11, 21, 8, 8, 8)  # places of a table of levels
WORDS = dict.fromkeys(("key", "other_run", "other_id", "branch", "settings", "layer"), str)


def metrics(folder: Path) -> pd.DataFrame:
    """Return metrics.csv of a run, a row a level; empty where nothing is done yet."""
    return level_rows(folder, "metrics.csv")


def branches(folder: Path) -> pd.DataFrame:
    """Return branches.csv of a run, a row a level and branch; empty where there is none."""
    return level_rows(folder, "branches.csv", "branch", "settings")


def sound(folder: Path) -> None:
    """Raise DamagedError or DiskError where a replicate can be part of no mean over replicates."""
    recorded(folder)
    metrics(folder)
    branches(folder)


def level_rows(folder: Path, name: str, *more: str) -> pd.DataFrame:
    """Return a table of trained levels with the columns `more`; raises DamagedError for others."""
    found = read_table(folder, name)
    if len(found) and not {*more} <= {*found}:
        raise DamagedError(f"{folder / name} is no table of levels (columns {more} are missing)")
    for column in NUMBERS if len(found) else ():
        if column not in found or not pd.api.types.is_numeric_dtype(found[column]):
            raise DamagedError(f"{folder / name} is no table of levels (its {column} is no number)")
    return found


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """Return a table of a run; empty where there is none, or nothing in it.

    Raises DamagedError where it is not as it was written.
    """
    data = checked(folder, name)
    try:
        return pd.read_csv(io.BytesIO(data or b""), dtype=WORDS)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except ValueError as error:
        why = first_line(error)
        raise DamagedError(f"{folder / name} is no table ({why})") from error


def level_file(outputs: Path, key: str, name: str) -> bytes | None:
    """Return a file of a trained level as its manifest vouches for it; None for no such level.

    Raises DamagedError for a file that is not as it was written.
    """
    shelf = outputs / "store" / key
    try:
        manifest = records.read_signed(shelf / records.MANIFEST)
        data = read_plain(shelf / name)
    except FileNotFoundError:
        return None
    if digest(data) != manifest.get("files", {}).get(name):
        raise DamagedError(f"{shelf / name} is damaged (its checksum is wrong)")
    return data


def level_table(rows: Sequence[Mapping[Any, Any]], metric: Metric = ACCURACY) -> str:
    """Return the rows of metrics.csv as a table for people; vs dense is above 0 where better."""
    val, test = (f"{split}_{metric.name}" for split in ("val", "test"))
    dense = rows[0].get(test)
    lines = [["level", "density", "compression", "kept/total", *heads(metric), "vs dense"]]
    for entry in rows:
        found, change = entry.get(test), ""
        if number(found) and number(dense) and entry is not rows[0]:
            change = metric.shown(metric.gain(float(found), float(dense)), "+", dense)  # type: ignore[arg-type]
        share = f"{entry['kept']:>10,}/{entry['total']:<10,}"
        cells = [str(entry["level"]), f"{entry['density']:.4f}", times(entry["compression"]), share]
        lines.append([*cells, metric.shown(entry.get(val)), metric.shown(found), change])
    widths, most = list(WIDTHS), formats.room()
    for place in (4, 5, 6):  # a metric's name, or a large number, may take more
        widths[place] = max(widths[place], *(len(line[place]) for line in lines))
    for place in (3, 2, 4):  # what can be had from the others, or seen elsewhere
        if most is not None and sum(widths) + len(widths) - 1 > most:
            widths[place] = 1
            for line in lines:
                line[place] = formats.CUT if line is lines[0] else ""
    padded = (" ".join(map(str.rjust, line, widths)).rstrip() for line in lines)
    return "\n".join(padded)


def heads(metric: Metric) -> list[str]:
    """Return the heads of what was measured: val acc, test mape %."""
    said = "acc" if metric.name == ACCURACY.name else metric.label + " %" * metric.percent
    return [f"val {said}", f"test {said}"]


def branch_tables(
    dense: Sequence[Mapping[Any, Any]], found: pd.DataFrame, metric: Metric = ACCURACY
) -> Iterator[str]:
    """Yield a table a branch under its name, from branches.csv, the dense level in front."""
    for (name, what), rows in found.groupby(["branch", "settings"], sort=False, dropna=False):
        said = f" ({what})" if what != name else ""
        title = printable(f"branch {name}{said}")
        yield f"{title}\n{level_table([*dense, *rows.to_dict('records')], metric)}"


def times(compression: float) -> str:
    """Return how many times smaller a net is: 1.25x, 15.3x."""
    return f"{compression:.2f}x" if compression < 10 else f"{compression:.1f}x"


def number(value: Any) -> bool:
    """Say whether a cell holds a number."""
    return value is not None and value == value

"""Read outputs/ back as tidy pandas tables. Imports no torch."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lottery.errors import DamagedError, UsageError
from lottery.records import checked, locked, read_record

REPLICATE = re.compile(r"replicate_[0-9]+")
NUMBERS = ("level", "density", "compression", "kept", "total")  # columns of every table of levels


def run_folders(outputs: Path) -> list[Path]:
    """Return every replicate folder under `outputs`, by name."""
    found = (p.parent for p in outputs.glob("*/*/replicate_*/run.json"))
    return sorted(f for f in found if REPLICATE.fullmatch(f.name))


def describe(folder: Path) -> dict[str, Any]:
    """Return one line about a run: what it is, how far it came, what it reached."""
    record = read_record(folder)
    try:
        levels = metrics(folder)
    except DamagedError:
        levels, record = pd.DataFrame(), {**record, "state": "damaged"}
    last: Any = levels.iloc[-1] if len(levels) else {}
    return {
        "run": folder.parent.parent.name,
        "id": folder.parent.name,
        "replicate": int(folder.name.removeprefix("replicate_")),
        "levels": f"{max(0, len(levels) - 1)}/{record.get('levels_asked', '?')}",
        "density": last.get("density"),
        "test": last.get("test_accuracy"),
        "state": state(folder, record),
        "started": record.get("started", "?"),
    }


def state(folder: Path, record: Mapping[str, Any]) -> str:
    """Return how a run stands; one that is not at work any more was killed."""
    said = str(record.get("state", "?"))
    return "killed" if said == "running" and not locked(folder / ".lock") else said


def metrics(folder: Path) -> pd.DataFrame:
    """Return metrics.csv of a run, a row a level; empty where nothing is done yet."""
    return level_rows(folder, "metrics.csv")


def branches(folder: Path) -> pd.DataFrame:
    """Return branches.csv of a run, a row a level and branch; empty where there is none."""
    return level_rows(folder, "branches.csv", "branch", "settings")


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
        return pd.read_csv(io.BytesIO(data or b""))
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except ValueError as error:
        why = str(error).splitlines()[0]
        raise DamagedError(f"{folder / name} is no table ({why})") from error


def find_run(outputs: Path, word: str, asked_by: str = "show") -> Path:
    """Return the replicate folder that `word` names: a path, an id prefix, or a run's name.

    Raises UsageError, with the near ones, unless there is exactly one.
    """
    found = matching(outputs, word)
    if len(found) == 1:
        return found[0]
    raise unclear(outputs, word, found, asked_by)


def find_replicates(outputs: Path, word: str) -> list[Path]:
    """Return the replicate folders of the one config that `word` names.

    Raises UsageError where it names none, or several configs.
    """
    found = matching(outputs, word)
    if len({f.parent for f in found}) == 1:
        return found
    raise unclear(outputs, word, found, "branch")


def matching(outputs: Path, word: str) -> list[Path]:
    """Return the replicate folders whose path, id prefix or name `word` is."""
    if (Path(word) / "run.json").exists():
        place = Path(word).absolute()
        if not REPLICATE.fullmatch(place.name) or len(place.parents) < 4:
            raise UsageError(
                f"{word} holds a run, but does not lie in outputs/NAME/ID/replicate_K; move it "
                "back, with the store beside NAME"
            )
        return [place]
    head, _, replicate = word.partition("/replicate_")
    return [
        f.absolute()
        for f in run_folders(outputs)
        if (
            f.parent.name.startswith(head)
            or f.parent.parent.name == head
            or f"{f.parent.parent.name}/{f.parent.name}" == head
        )
        and (not replicate or f.name == f"replicate_{replicate}")
    ]


def unclear(outputs: Path, word: str, found: list[Path], asked_by: str) -> UsageError:
    """Return the error for a word that names no run, or several."""
    folders = found or run_folders(outputs)
    names = [f"{f.parent.name}/{f.name} ({f.parent.parent.name})" for f in folders][:8]
    listed = "; ".join(names) or f"none under {outputs}"
    why = "names several runs" if found else "names no run"
    return UsageError(f"{asked_by}: '{word}' {why}; there are: {listed}")


def level_table(rows: Sequence[Mapping[Any, Any]]) -> str:
    """Return the rows of metrics.csv as a table for people."""
    dense = rows[0].get("test_accuracy")
    lines = [
        f"{'level':>5} {'density':>9} {'compression':>11} {'kept/total':>21} "
        f"{'val acc':>8} {'test acc':>8} {'vs dense':>8}"
    ]
    for entry in rows:
        test, change = entry.get("test_accuracy"), ""
        if number(test) and number(dense) and entry is not rows[0]:
            change = f"{100 * (float(test) - float(dense)):+.2f}"  # type: ignore[arg-type]
        lines.append(
            f"{entry['level']:>5} {entry['density']:>9.4f} {entry['compression']:>10.1f}x "
            f"{entry['kept']:>10,}/{entry['total']:<10,} {percent(entry.get('val_accuracy')):>8} "
            f"{percent(test):>8} {change:>8}"
        )
    return "\n".join(lines)


def number(value: Any) -> bool:
    """Say whether a cell holds a number."""
    return value is not None and value == value


def percent(value: Any) -> str:
    """Return a share as per cent; empty where there is none."""
    return f"{100 * value:.2f}" if number(value) else ""

"""Judge the folder of a run, at its end or in the midst of it, by four oracles.

A final hash alone is blind to damage that a checksum healed. So: `bits` (those of an uninterrupted
run), `torn` (nothing half-made under a final name, ever), `lost` (nothing acknowledged is gone) and
`rows_once` (each row of a table once).
"""

import contextlib
import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lottery.errors import LotteryError
from lottery.storage.files import digest
from lottery.storage.records import read_signed

CLOCK = {"seconds", "examples_per_second", "ticket_seconds"}  # columns that no promise covers
OF_RUN = ("state", "command", "followed_by", "levels_asked", "replicate", "data", "spread")


def files(folder: Path) -> Iterator[Path]:
    """Yield every file and link under `folder`, links not followed."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        yield from (Path(place, name) for name in sorted(names + links))


def bits(folder: Path) -> dict[str, Any]:
    """Return everything that a run promises, by file; the clock and the moment apart."""
    found = {str(path.relative_to(folder)): promised(path) for path in files(folder)}
    return {name: value for name, value in found.items() if value is not None}


def promised(path: Path) -> Any:
    """Return what is promised of one file; None where nothing is."""
    if path.is_symlink():
        return os.readlink(path)
    if path.name == "run.json":
        record = read_signed(path)
        return {key: record.get(key) for key in OF_RUN}
    if path.name == "manifest.json":
        record = read_signed(path)
        if "levels" in record:  # of a run; its checksums know the clock
            return record | {"files": sorted(record["files"])}
        return record | {"result": {k: v for k, v in record["result"].items() if k not in CLOCK}}
    if path.name in ("metrics.csv", "branches.csv"):
        rows = table(path)
        keep = [i for i, column in enumerate(rows[0]) if column not in CLOCK]
        return [[row[i] for i in keep] for row in rows]
    if temporary(path) or path.suffix not in (".safetensors", ".csv", ".yaml"):
        return None
    return digest(path.read_bytes())


def table(path: Path) -> list[list[str]]:
    """Return the cells of a CSV file."""
    return list(csv.reader(io.StringIO(path.read_text())))


def temporary(path: Path) -> bool:
    """Say whether a file is one of those that an unfinished run leaves."""
    return path.name.startswith((".tmp-", "checkpoint-"))


def left(folder: Path) -> list[str]:
    """Return what a finished run should have removed."""
    return [str(p) for p in files(folder) if temporary(p) and not p.name.endswith(".corrupt")]


def torn(folder: Path) -> list[str]:
    """Return what stands under a final name and is not whole; while a run writes, too."""
    found = []
    for path in files(folder):
        try:
            found += [f"{path}: {why}" for why in faults(path)]
        except FileNotFoundError:  # removed while we looked
            continue
        except (LotteryError, ValueError, KeyError) as error:
            found.append(f"{path}: {error}")
    return found


def faults(path: Path) -> Iterator[str]:
    """Yield what is wrong with one file."""
    if path.is_symlink():
        if not (path / "manifest.json").exists():
            yield "it leads to no finished level"
    elif path.name.startswith(".tmp-") or path.name.endswith(".corrupt"):
        return
    elif path.name == "run.json":
        read_signed(path)
    elif path.name == "manifest.json":
        yield from faults_of_manifest(path)
    elif path.name.startswith("checkpoint-"):
        data = path.read_bytes()
        if digest(data)[:32] != path.stem.split("-")[2]:
            yield "its checksum is wrong"
        for name, sha in header(data).get("saved", {}).items():
            if digest((path.parent / name).read_bytes()) != sha:
                yield f"the state {name} is not what was saved"
    elif path.suffix == ".safetensors":
        header(path.read_bytes())
    elif path.suffix == ".csv" and not rectangular(path):
        yield "rows are cut off"


def rectangular(path: Path) -> bool:
    """Say whether a CSV file has whole rows of one length."""
    return path.read_bytes().endswith(b"\n") and len({len(row) for row in table(path)}) == 1


def faults_of_manifest(path: Path) -> list[str]:
    """Return the files of a level, or the files and levels of a run, that are not as it says.

    Where it has changed meanwhile they may be younger than what was read of it.
    """
    while True:
        before = path.read_bytes()
        found = list(unlike(path, read_signed(path)))
        if not found or path.read_bytes() == before:
            return found


def unlike(path: Path, manifest: dict[str, Any]) -> Iterator[str]:
    """Yield what is not as a manifest says."""
    of_run = "levels" in manifest
    for name, sha in manifest["files"].items():
        known = sha if of_run else [sha]
        file = path.parent / name
        if file.exists() or not of_run:  # a run's manifest is written before its tables
            data = file.read_bytes() if file.exists() else b""
            if digest(data) not in known:
                yield f"{name} is not what was written"
    for place, entry in manifest.get("levels", {}).items():
        if not (path.parents[3] / "store" / entry["key"] / "manifest.json").exists():
            yield f"{place} is no finished level"


def header(data: bytes) -> dict[str, Any]:
    """Return what a tensor file says of itself; raises ValueError where it is not whole."""
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    about = json.loads(head.pop("__metadata__")["lottery"])
    if len(data) != 8 + length + max((e["data_offsets"][1] for e in head.values()), default=0):
        raise ValueError("the file is cut off")
    return about if isinstance(about, dict) else {}


def rows_once(folder: Path) -> list[str]:
    """Return the rows that stand twice in a table, or are missing from one."""
    found = []
    for path in files(folder):
        with contextlib.suppress(FileNotFoundError):  # removed while we looked
            found += [f"{path}: {why}" for why in repeated(*rows_of(path))]
    return found


def rows_of(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return the name of the table in a file, and its rows; no rows where there is none."""
    if path.suffix == ".csv" and not temporary(path):
        heads, *rows = table(path)
        return path.name, [dict(zip(heads, row)) for row in rows]
    if path.name.startswith("checkpoint-") and path.suffix == ".safetensors":
        return "curve.csv", header(path.read_bytes()).get("curve", [])
    return path.name, []


def repeated(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """Return the rows of one table that are there twice, or that its steps or levels leave out."""
    columns = {
        "metrics.csv": ("level",), "layers.csv": ("level", "layer"), "branches.csv": ("level", "branch"),
        "curve.csv": ("step",),
    }  # fmt: skip
    if name not in columns:
        return []
    seen = Counter(tuple(str(row[c]) for c in columns[name]) for row in rows)
    found = [f"{' '.join(row)} stands {times} times" for row, times in seen.items() if times > 1]
    if name == "metrics.csv" and [int(row["level"]) for row in rows] != list(range(len(rows))):
        found.append("a level is missing")
    if name == "curve.csv":
        at = [int(row["step"]) for row in rows]
        gaps = [b - a for a, b in zip(at, at[1:])]
        inner = gaps[1:-1]  # a level may start and end between two rows
        if gaps and (min(gaps) < 1 or len(set(inner)) > 1 or inner and max(gaps) > inner[0]):
            found.append(f"the steps are {at}")
    return found


def acknowledged(folder: Path) -> dict[str, Any]:
    """Return what a run has reported as done: nothing of it may ever be gone, or be done again.

    `made` tells the files of a finished level from others of the same name.
    """
    found: dict[str, Any] = {
        "levels": set(),
        "places": {},
        "rows": {},
        "checkpoints": {},
        "made": {},
    }
    for path in files(folder):
        if path.name == "manifest.json":
            record = read_signed(path)
            entries = record.get("levels", {})
            found["places"] |= {
                str(path.parent / at): entry["key"] for at, entry in entries.items()
            }
            if "key" in record:
                found["levels"].add(record["key"])
                end = path.parent / "end.safetensors"
                found["made"][record["key"]] = end.stat().st_ino if end.exists() else None
        elif path.name in ("metrics.csv", "branches.csv", "layers.csv"):
            found["rows"][str(path)] = len(table(path)) - 1
        elif path.name.startswith("checkpoint-") and path.suffix == ".safetensors":
            step, at = int(path.name.split("-")[1]), str(path.parent)
            found["checkpoints"][at] = max(step, found["checkpoints"].get(at, 0))
    return found


def lost(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return what was acknowledged before and is no longer."""
    found = [f"level {key}" for key in before["levels"] - after["levels"]]
    found += [p for p, key in before["places"].items() if after["places"].get(p) != key]
    found += [f"rows of {p}" for p, n in before["rows"].items() if after["rows"].get(p, 0) < n]
    for at, step in before["checkpoints"].items():
        place = os.path.join(os.path.dirname(at), os.path.basename(at).removeprefix("scoring_"))
        over = os.path.basename(at) in after["levels"] or place in after["places"]
        if not over and after["checkpoints"].get(at, -1) < step:
            found.append(f"the checkpoint of step {step} in {at}")
    return found


def assert_sound(folder: Path, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Assert the oracles that hold at any moment; return what is acknowledged by now."""
    wrong = torn(folder) + rows_once(folder)
    assert not wrong, wrong
    now = acknowledged(folder)
    if before:
        gone = lost(before, now)
        assert not gone, gone
        again = [key for key, file in before["made"].items() if now["made"][key] != file]
        assert not again, f"trained twice: {again}"
    return now


def assert_same(folder: Path, expected: dict[str, Any], before: Any = None) -> None:
    """Assert all four oracles of a run that came to its end; `expected` is what `bits` returned."""
    assert_sound(folder, before)
    found = bits(folder)
    different = {
        name: (expected.get(name), found.get(name))
        for name in expected.keys() | found.keys()
        if expected.get(name) != found.get(name)
    }
    assert not different, different
    remains = left(folder)
    assert not remains, remains

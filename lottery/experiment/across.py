"""Ask the finished levels of several runs what an analysis asks; what it finds is kept.

Nothing is trained, and no run looks at the others: `lottery analyze` is given them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lottery.errors import DamagedError, UsageError
from lottery.results.across import Finding, file_of, place_of, read
from lottery.results.facts import Facts, recorded
from lottery.results.order import deciding
from lottery.storage import disk, records
from lottery.storage.files import digest
from lottery.storage.tables import table
from lottery.terms.analysis import Reported, Rows
from lottery.terms.kept import FORMAT
from lottery.terms.metric import SPLITS, Metric


@dataclass
class Reports:
    """The finished levels of several runs (`terms.analysis.Levels`)."""

    metric: Metric
    levels: list[Reported]
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Reported]:
        return iter(self.levels)

    def __len__(self) -> int:
        return len(self.levels)

    def note(self, line: str) -> None:
        """Keep what a reader of the tables has to know."""
        self.notes.append(line)


def reports(folders: Sequence[Path], wanted: Collection[int] = ()) -> Reports:
    """Return the finished levels of runs, all or the `wanted` ones, each run once.

    Raises UsageError where the runs are not judged by the same, or have no level, and DamagedError
    for records that are not whole.
    """
    facts = {(f.parent.name, f.name): Facts(f) for f in reversed(folders)}  # a run has many names
    runs = [*reversed(facts.values())]
    for one in runs:
        recorded(one.folder)
    judged = {one.metric for one in runs}
    if len(judged) > 1:
        said = " and ".join(sorted(metric.label for metric in judged))
        raise UsageError(f"analyze: these runs are judged by {said}; name those of one of them")
    levels = [level for one in runs for level in levels_of(one)]
    levels = [level for level in levels if not wanted or level.level in wanted]
    if not levels:
        raise UsageError("analyze: these runs have no such finished level; lottery ls lists them")
    return Reports(judged.pop(), levels)


def levels_of(run: Facts) -> Iterator[Reported]:
    """Yield the finished levels of a run; raises DamagedError for a table that is not whole."""
    rows, wrong = run.levels
    if wrong:
        raise DamagedError(
            f"{run.folder}: its table of levels is {wrong}; {records.resume_hint(run.folder)}"
        )
    settings = deciding(run)
    for row in rows:
        yield Reported(
            run="/".join(run.folder.parts[-3:]),
            config=run.folder.parent.name,
            replicate=run.replicate,
            level=int(row["level"]),
            density=float(row["density"]),
            kept=int(row["kept"]),
            total=int(row["total"]),
            error=errors_of(row, run.metric),
            dense=errors_of(rows[0], run.metric),
            settings=settings,
            key=str(row["key"]),
        )


def errors_of(row: Mapping[str, Any], metric: Metric) -> dict[str, float]:
    """Return the error of each split in a row of metrics.csv; NaN where it was not measured."""

    def number(column: str) -> float:
        value = row.get(column)
        return float(value) if isinstance(value, int | float) else math.nan

    return {
        split: metric.error_of(number(f"{split}_{metric.name}"), number(f"{split}_loss"))
        for split in SPLITS
    }


def asked(
    folders: Sequence[Path], name: str, settings: str, code: str | None,
    analysis: Callable[[Reports], Rows], wanted: Collection[int] = (),
) -> Finding:  # fmt: skip
    """Return what an analysis finds of several runs: kept from before, or found and kept now.

    `settings` are its own in words, `code` the hash of one that another package brings.
    """
    found = reports(folders, wanted)
    of = [f"{each.config}/{each.replicate}/{each.level}/{each.key}" for each in found]
    made_of = {"format": FORMAT, "analysis": name, "settings": settings, "code": code, "levels": of}
    key = digest(json.dumps(made_of, sort_keys=True).encode())[:16]
    place = place_of(folders)
    path = place / f"{name}-{key}.json"
    if (there := whole(path)) is not None:
        return there
    rows = {word: table(list(some)) for word, some in analysis(found).items() if some}
    disk.make_folder(place)
    for word, data in rows.items():
        disk.write(place / file_of(name, key, word), data)
    record = {
        "analysis": name,
        "settings": settings,
        "runs": list(dict.fromkeys(each.run for each in found)),
        "metrics": [found.metric.data()],
        "notes": found.notes,
        "files": {word: digest(data) for word, data in rows.items()},
        "at": records.now(),
    }
    disk.write_json(path, records.signed(record))
    return Finding(path, record)


def whole(path: Path) -> Finding | None:
    """Return a finding whose tables are all as they were written; None for any other."""
    try:
        found = read(path)
        for word in found.words:
            found.table(word)
    except (FileNotFoundError, DamagedError):
        return None
    return found

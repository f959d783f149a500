"""Say what a run is and how far it came, from its records alone. Imports neither torch nor pandas.

`lottery ls`, filters such as `prune=imp` and the first columns of every table are made of this.
"""

import csv
import datetime
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lottery.config.identity import flat
from lottery.errors import DamagedError, DiskError
from lottery.progress import pulse
from lottery.storage import records
from lottery.storage.settings import read_settings
from lottery.storage.warned import Warned, kinds, of_record
from lottery.terms.metric import ACCURACY, LOSS, Metric, chance_of, measured, metrics_of
from lottery.wording.text import without_password

WHOSE = ("name", "id", "replicate", "model", "dataset", "method", "rewind")  # of every table
ALSO = {"prune": "method", "test": "test_accuracy", "val": "val_accuracy", "age": "started"}
REACHED = ("val", "test")  # splits, of each metric, that a run is listed with
POINT = ("path", "to", "steps")  # settings of a rewind that say where it leads
LONGEST_WORD = 20  # characters of a setting that stands in a column of words


@dataclass(frozen=True)
class Facts:
    """What one replicate's folder says of itself. Each file is read when it is asked for."""

    folder: Path

    @cached_property
    def record(self) -> dict[str, Any]:
        """run.json; where it is damaged, only a state that says so."""
        return records.read_record(self.folder)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """What was measured of the nets; the first decides."""
        return metrics_of(self.record)

    @property
    def metric(self) -> Metric:
        """What verdicts, figures and tables go by."""
        return self.metrics[0]

    @property
    def chance(self) -> float | None:
        """What of that needs no net; None for unknown."""
        return chance_of(self.record)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `row`."""
        return columns(self.metrics)

    def column(self, key: str) -> str:
        """Return the column that a key stands for: test is that of the first metric.

        The name of a metric alone, and loss, is that of the test split.
        """
        if key in REACHED:
            return f"{key}_{self.metric.name}"
        known = key in (LOSS.name, *(metric.name for metric in self.metrics))
        return f"test_{key}" if known else ALSO.get(key, key)

    def measure(self, key: str) -> Metric | None:
        """Return the metric that a key of `row` stands for; None for any other."""
        found = measured(self.column(key), self.metrics)
        return found.metric if found else None

    @cached_property
    def warnings(self) -> list[Warned]:
        """What the run was warned of."""
        return of_record(self.record)

    @cached_property
    def choices(self) -> dict[str, str]:
        """The options by which the run was composed, as typed: model -> resnet20."""
        return {str(k): str(v) for k, v in self.record.get("choices", {}).items()}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """config.yaml as data, `levels` as asked for since; {} where it is damaged."""
        try:
            found = read_settings(self.folder)
        except (DamagedError, DiskError):
            return {}
        asked = self.record.get("levels_asked")
        if isinstance(found.get("levels"), int) and isinstance(asked, int):
            found["levels"] = asked
        return found

    @cached_property
    def flat(self) -> dict[str, Any]:
        """The settings with dotted keys."""
        return flat(self.settings)

    @property
    def replicate(self) -> int:
        """The number of the replicate."""
        return int(self.folder.name.removeprefix("replicate_"))

    @cached_property
    def whose(self) -> dict[str, Any]:
        """The columns of `WHOSE`: options as typed; of old or damaged runs the components."""
        return {
            "name": self.folder.parent.parent.name,
            "id": self.folder.parent.name,
            "replicate": self.replicate,
            "model": self.word("model", "model"),
            "dataset": self.word("dataset", "dataset"),
            "method": self.word("prune", "prune", "criterion"),
            "rewind": " ".join([self.word("rewind", "rewind"), *self.point()]),
        }

    def word(self, group: str, *keys: str) -> str:
        """Return the option chosen of a group, or the name of the component under `keys`."""
        if group in self.choices:
            return self.choices[group]
        node: Any = self.settings
        for key in (*keys, "name"):
            node = node.get(key) if isinstance(node, dict) else None
        return "?" if node is None else str(node)

    def point(self) -> list[str]:
        """Return the settings of the rewind point in words: 2ep; of a path its last part."""
        node = self.settings.get("rewind")
        values = [node[key] for key in POINT if node.get(key)] if isinstance(node, dict) else []
        names = [Path(without_password(str(value))).name for value in values]
        return [name for name in names if len(name) <= LONGEST_WORD]

    @cached_property
    def levels(self) -> tuple[list[dict[str, Any]], str]:
        """The rows of metrics.csv, and what is wrong with them: "" for nothing."""
        try:
            rows = level_rows(self.folder)
            configured(self.folder)
        except DamagedError:
            return [], "damaged"
        except DiskError:
            return [], records.UNREAD
        return rows, ""

    @property
    def last(self) -> dict[str, Any]:
        """The row of the last level; {} where there is none."""
        rows, _ = self.levels
        return rows[-1] if rows else {}

    @cached_property
    def row(self) -> dict[str, Any]:
        """A row of `lottery ls`: `WHOSE`, then how far the run came and what it reached.

        `levels` counts the pruned levels that are done. `density` and what was measured, shares of
        1, are those of the last level; None where there are none. `left` is in seconds, of a run
        that is at work.
        """
        rows, wrong = self.levels
        last = self.last
        state = wrong or self.state
        return {
            **self.whose,
            "levels": max(0, len(rows) - 1),
            "levels_asked": self.record.get("levels_asked"),
            "density": number(last.get("density")),
            **{column: value(last.get(column)) for column in reached(self.metrics)},
            "state": state,
            "started": self.record.get("started"),
            "ended": self.record.get("ended"),
            "seconds": self.record.get("seconds"),
            "left": time_left(self.folder) if state == "running" else None,
            "warnings": ", ".join(kinds(self.warnings)),
            "folder": str(self.folder),
        }

    @cached_property
    def state(self) -> str:
        """How the run stands; one that is not at work any more was killed.

        A lock of another machine may not be seen here; its fresh sign of life tells then.
        """
        said = str(self.record.get("state", "?"))
        return said if said != "running" or at_work(self.folder) else "killed"

    def values(self, key: str) -> list[Any]:
        """Return what a key of a filter stands for: a column, an option, a setting; [] for none.

        `rewind` is "step 2ep" as a column and "step" as an option, so there may be several. Of
        `levels` the second is how many are done of those asked for: 2/3.
        """
        column = self.column(key)
        if column in WHOSE:
            found = [self.whose[column]]
        elif column == "levels":
            asked = self.row["levels_asked"]
            found = [self.row[column], f"{self.row[column]}/{'?' if asked is None else asked}"]
        elif column == "warnings":
            found = [self.row[column], *kinds(self.warnings)]
        elif column in self.columns:
            found = [self.row[column]]
        elif column in self.last and measured(column, self.metrics):  # a loss, of any split
            found = [value(self.last[column])]
        else:
            found = []
        found += [self.choices[key]] if key in self.choices else []
        return found if found or key not in self.flat else [self.flat[key]]

    @property
    def keys(self) -> list[str]:
        """Everything that `values` knows."""
        return [*self.columns, *ALSO, *self.choices, *self.flat]


def at_work(folder: Path) -> bool:
    """Say whether a process is at work on a run: it holds its lock, or leaves signs elsewhere."""
    return records.locked(folder / ".lock") or pulse.read(folder) is not None


def reached(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Return the columns of what a run of these metrics reached."""
    return tuple(f"{split}_{metric.name}" for metric in metrics for split in REACHED)


def columns(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Return the columns of `Facts.row`, of a run of these metrics."""
    return (*WHOSE, "levels", "levels_asked", "density", *reached(metrics), "state", "started",
            "ended", "seconds", "left", "warnings", "folder")  # fmt: skip


COLUMNS = columns([ACCURACY])  # of runs that say nothing else


def spokesman(folders: Sequence[Path]) -> Facts:
    """Return the first replicate of a config whose record and settings are whole, or the first."""
    every = [Facts(folder) for folder in folders]
    sound = (f for f in every if f.settings and f.record.get("state") != "damaged")
    return next(sound, every[0])


def recorded(folder: Path) -> None:
    """Raise DamagedError or DiskError where the records of a replicate are not whole.

    No mean counts it then: neither which run it is nor how it was made is known.
    """
    try:
        records.read_run(folder)
    except FileNotFoundError as error:
        raise DamagedError(f"{folder} has no run.json") from error
    configured(folder)


def configured(folder: Path) -> None:
    """Raise DamagedError or DiskError where config.yaml is not there as it was written."""
    if records.checked(folder, records.CONFIG) is None:
        read_settings(folder)  # says what to type


def level_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics.csv with numbers where numbers stand; [] for none yet.

    Raises DamagedError where it is not as it was written, or no table of levels.
    """
    text = (records.checked(folder, "metrics.csv") or b"").decode(errors="replace")
    try:
        rows = [{k: cell(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))]
    except csv.Error as error:
        raise DamagedError(f"{folder / 'metrics.csv'} is no table ({error})") from error
    for row in rows:
        if number(row.get("density")) is None:
            raise DamagedError(f"{folder / 'metrics.csv'} is no table of levels")
    return rows


def cell(text: object) -> Any:
    """Return a cell of a CSV as a number where it is one; None where it is empty or NaN.

    A perplexity may be inf.
    """
    if not isinstance(text, str) or not text:
        return None
    try:
        number = float(text)
    except ValueError:
        return text
    if math.isnan(number):
        return None
    return int(number) if number.is_integer() and "." not in text and "e" not in text else number


def number(value: object) -> float | None:
    """Return a number that may be one; None for anything else."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def value(cell: object) -> float | None:
    """Return what was measured, which may be inf; None for anything else."""
    return float(cell) if isinstance(cell, int | float) and not math.isnan(cell) else None


def age(started: object, now: datetime.datetime | None = None) -> float | None:
    """Return the seconds from a time in ISO 8601 to now; None where it is none, or has no zone."""
    try:
        then = datetime.datetime.fromisoformat(str(started))
        return ((now or datetime.datetime.now(datetime.UTC)) - then).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def time_left(folder: Path) -> float | None:
    """Return the seconds to the end of a run that is at work, as it reckons; None for unknown."""
    found: Mapping[str, Any] = pulse.read(folder) or {}
    return number(found.get("left"))

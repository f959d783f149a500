"""Say of one run what the page shows of it: a row of a table, and the levels for the curves."""

import datetime
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lottery.errors import DamagedError, DiskError
from lottery.results.facts import Facts, configured, level_rows, number
from lottery.results.formats import about
from lottery.results.living import error_of, to_go_on
from lottery.results.reports.sheets import kept
from lottery.storage.records import hostname
from lottery.storage.warned import kinds
from lottery.terms.metric import Metric
from lottery.wording.text import near, printable

LOG = re.compile(r"\.sweeps/[\w-]{1,64}/[0-9]{1,20}(_[0-9]{1,9})?\.log")
LONGEST = 600  # characters of an error
Level = tuple[int, float, float]  # its index, density, and what was reached


@dataclass(frozen=True)
class Entry:
    """What is known of one run."""

    run: Facts
    state: str
    levels: list[Level]
    split: str  # of what was reached: test, or val where nothing was tested
    row: dict[str, Any]  # for the page; all of it text, numbers or None
    log: Path | None

    @property
    def shown(self) -> object:
        """All of it that a page shows."""
        return self.row, self.levels, self.split, self.log

    @property
    def facet(self) -> tuple[str, str, str, str]:
        """What is drawn together: the data, the net, and what was measured on which split."""
        whose = self.run.whose
        return whose["dataset"], whose["model"], self.run.metric.name, self.split


def entry(run: Facts) -> Entry:
    """Return what is known of a run, however damaged its files are."""
    try:
        return known(run)
    except Exception as error:  # noqa: BLE001 (of a record that nobody has thought of; the others are shown)
        said = f"{type(error).__name__}: {error}"
        return Entry(run, "damaged", [], "test", bare(run, "damaged", said), None)


def known(run: Facts) -> Entry:
    """Return what is known of a run; raises whatever an odd record makes of it."""
    facts, state, metric = run.row, str(run.row["state"]), run.metric
    levels, split = reached(run, metric)
    log = log_of(run)
    wrong = error_of(run)
    if state in ("damaged", "unreadable") and not wrong:
        wrong = damage(run)
    found = {
        **bare(run, state, wrong),
        **{k: printable(facts[k]) for k in ("model", "dataset", "method", "rewind")},
        "metric": metric.label,
        "levels": f"{facts['levels']}/{'?' if (n := facts['levels_asked']) is None else n}",
        "done": facts["levels"],
        "density": "" if (d := facts["density"]) is None else kept(d),
        "dense": facts["density"],
        **{split: metric.said(facts[f"{split}_{metric.name}"]) for split in ("val", "test")},
        "took": about(number(facts["seconds"])),
        "began": seconds(facts["started"]),
        "ended": seconds(facts["ended"]) if state != "running" else None,
        "warnings": ", ".join(kinds(run.warnings)),
        "again": again(run),
        "log": short(log) if log else "",
        "host": "" if (h := run.record.get("host")) in (None, hostname()) else printable(h),
    }
    return Entry(run, state, levels, split, found, log)


def again(run: Facts) -> str:
    """Return what to type to go on with a run; "" for nothing."""
    try:
        return printable(to_go_on(run))
    except FileNotFoundError:  # the folder of this command is gone: nothing can be typed there
        return ""


def short(path: Path) -> str:
    """Return a path as it can be typed where the command was, safe to show."""
    try:
        return printable(near(path))
    except FileNotFoundError:  # there is no such place any more
        return printable(path)


def bare(run: Facts, state: str, wrong: str) -> dict[str, Any]:
    """Return what there is to show of any run."""
    name, ident = run.folder.parent.parent.name, run.folder.parent.name
    said = printable(" ".join(wrong.split()))
    return {
        "id": key_of(run.folder),
        "line": printable(run.folder.parent),
        "config": printable(f"{name}/{ident}"),
        "replicate": run.replicate,
        "state": printable(state),
        "error": said if len(said) <= LONGEST else f"{said[:LONGEST]}…",
        "again": "",
        "log": "",
    }


def key_of(folder: Path) -> str:
    """Return what a run is called between page and server."""
    return printable(folder)


def reached(run: Facts, metric: Metric) -> tuple[list[Level], str]:
    """Return the levels of a run that have a value, and of which split that is."""
    try:
        rows = level_rows(run.folder)
    except (DamagedError, DiskError):
        return [], "test"
    for split in ("test", "val"):
        column = f"{split}_{metric.name}"
        cells = [
            (row.get("level"), number(row["density"]), number(row.get(column))) for row in rows
        ]
        some = [
            (level, density, value)
            for level, density, value in cells
            if isinstance(level, int) and density and 0 < density <= 1 and value is not None
        ]
        if some:
            return some, split
    return [], "test"


def damage(run: Facts) -> str:
    """Return what is wrong with the tables of a run whose record is sound."""
    try:
        level_rows(run.folder)
        configured(run.folder)
    except (DamagedError, DiskError) as error:
        return str(error)
    return ""


def log_of(run: Facts) -> Path | None:
    """Return where the output of a run's job is kept; None where nobody kept it.

    A run.json may come from anywhere, and names no other file with this.
    """
    said = run.record.get("log")
    if not isinstance(said, str) or not LOG.fullmatch(said):
        return None
    place = run.folder.parents[2] / said
    return place if place.is_file() else None


def seconds(text: object) -> float | None:
    """Return a time in ISO 8601 as seconds since 1970; None for what is none."""
    try:
        return datetime.datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None

"""Gather what a report says of runs: the sound ones in tables and figures, the others by name."""

import os
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from lottery.errors import DamagedError, DiskError, UsageError
from lottery.machine.version import __version__
from lottery.results import folders as places
from lottery.results import results
from lottery.results.facts import Facts
from lottery.results.labels import labels
from lottery.results.reports import headline, several
from lottery.results.reports.one import Member, member, part
from lottery.results.reports.sheets import Report
from lottery.results.tidy import Runs
from lottery.terms.metric import measured

FULL = 8  # configs whose own sections have figures; more of them would be slow to make and to open
TABLES = ("metrics.csv", "branches.csv", "layers.csv", "overlaps.csv")
NUMBERS = {  # columns that are reckoned with, beside those of a loss or a metric
    "level", "density", "compression", "kept", "total", "step", "best_step", "seconds", "effective",
    "dead_outputs", "outputs", "sign_changes", "moved", "moved_relative", "overlap", "by_chance",
    "steps", "examples", "macs", "macs_kept", "training_macs", "training_macs_kept", "energy",
    "ticket_steps", "ticket_examples", "ticket_macs", "ticket_macs_kept", "ticket_seconds",
    "ticket_energy",
}  # fmt: skip


def gather(
    folders: Sequence[Path], tolerance: float | None = None, correction: str = "holm"
) -> Report:
    """Return the report on replicate folders.

    Runs that are damaged are named among its problems, and left out of everything else. Raises
    DamagedError where all of them are, UsageError where no level is finished yet.
    """
    problems = list(places.lost(folders))
    sound = [f for f in folders if is_sound(f, problems)]
    if folders and not sound:
        raise DamagedError(problems[-1].removeprefix("Left out: "))
    begun = [f for f in sound if len(results.metrics(f))]
    if not begun:
        raise UsageError(
            "report: these runs have no finished level yet; lottery ls shows how far they are"
        )
    problems += [f"No level is finished yet: {where(f)}" for f in sound if f not in begun]
    return report(members_of(begun, tolerance, correction), tolerance, problems)


def is_sound(folder: Path, problems: list[str]) -> bool:
    """Say whether a run's tables can be read and reckoned with; else say why among the problems."""
    try:
        results.sound(folder)
        for name in TABLES:
            refuse_odd(folder, name, results.read_table(folder, name))
    except (DamagedError, DiskError) as error:
        problems.append(f"Left out: {error}")
    else:
        return True
    return False


def refuse_odd(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Raise DamagedError for a table with words where numbers belong, or with odd densities."""
    metrics = Facts(folder).metrics
    for column in (c for c in table.columns if c in NUMBERS or measured(c, metrics)):
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise DamagedError(f"{folder / name} is no table of a run (its {column} is no number)")
    if "density" in table and not table["density"].between(0, 1).all():
        raise DamagedError(f"{folder / name} is no table of a run (its density is no share of 1)")
    if name == "metrics.csv" and len(table) and not (table["density"] > 0).all():
        raise DamagedError(f"{folder / name} is no table of a run (its density is 0)")
    if "level" in table and not (table["level"] % 1 == 0).all():
        raise DamagedError(f"{folder / name} is no table of a run (its level is no index)")


def where(folder: Path) -> str:
    """Return a run as it can be named."""
    return f"{folder.parent.parent.name}/{folder.parent.name}/{folder.name}"


def members_of(folders: Sequence[Path], tolerance: float | None, correction: str) -> list[Member]:
    """Return the configs of replicate folders, ranked."""
    called = labels(tuple(folders))
    found = [
        member(called[(base.parent.name, base.name)], mine, tolerance, correction)
        for base, mine in places.configs(folders)
    ]
    return headline.ranked(found)


def report(members: Sequence[Member], tolerance: float | None, problems: list[str]) -> Report:
    """Return the report on configs."""
    figures = len(members) <= FULL
    masks = masks_of(members, problems)
    parts = [
        part(member, f"c{number}", tolerance, problems, masks, figures)
        for number, member in enumerate(members, 1)
    ]
    if len(members) == 1:
        (one,) = parts
        name = members[0].runs.folders[0].parent.parent.name
        return Report(
            name,
            one.about,
            one.place,
            one.finding,
            one.tiles,
            problems,
            (),
            parts,
            now(),
            __version__,
        )
    return Report(
        several.title(members),
        several.about(members),
        "",
        headline.sentences(members),
        headline.tiles(members),
        problems,
        several.sections(members, tolerance, problems),
        parts,
        now(),
        __version__,
    )


def masks_of(members: Sequence[Member], problems: list[str]) -> pd.DataFrame:
    """Return how far masks of the configs are the same; damage goes among the problems."""
    runs = Runs(tuple(folder for member in members for folder in member.runs.folders))
    with warnings.catch_warnings(action="ignore"):
        found = runs.overlaps
    problems += [f"Masks beside others: {line}" for line in runs.left_out.get("overlaps", ())]
    return found


def now() -> str:
    """Return the time to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def usual_place(folders: Iterable[Path]) -> Path:
    """Return where a report lies that was given no place: the folder that holds all its configs."""
    shared = Path(os.path.commonpath([places.absolute(folder).parent for folder in folders]))
    return shared / "report.html"

"""Say what a run came to: its closing table, and the verdicts over its replicates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lottery.errors import DamagedError, DiskError
from lottery.experiment.ending import last_level
from lottery.experiment.run import LockedRun, Run
from lottery.experiment.tables import read_rows
from lottery.results.analyses import texts
from lottery.results.folders import lost, runs_in
from lottery.results.results import branch_tables, branches, level_table, number, sound
from lottery.results.sanity import POSITIONS, judge, sanity_table
from lottery.storage import disk, locks
from lottery.storage.tables import table
from lottery.terms.metric import ACCURACY
from lottery.wording.text import near, printable


def conclude(locked: LockedRun, follow: bool) -> None:
    """Print the closing table of a run, of a sweep's later jobs a line; keep the verdicts.

    After what was to `follow` a finished run the tables are those of its branches.
    """
    run = locked.run
    verdicts, sweep = judged(run), run.watch.sweep
    if sweep is not None and (said := [verdicts] * bool(verdicts) + [*found_over(run)]):
        sweep.verdicts[near(run.folder.parent)] = "\n\n".join(said)  # the last replicate's stay
    rows = read_rows(locked)
    if sweep is not None and sweep.tabled:
        print(printable(f"{sweep.job or run.folder.name}: {in_a_line(locked, rows)}"))
        return
    print(closing(locked, rows, follow))
    if sweep is not None:
        sweep.tabled = True
    elif verdicts:
        print(f"\n{verdicts}")


def found_over(run: Run) -> Iterator[str]:
    """Yield what a run's analyses found over the replicates of its config that are sound."""
    if names := [*run.parts.analyses]:
        folders = [folder for folder in runs_in(run.folder.parent) if readable(run, folder)]
        yield from texts(folders, names)


def judged(run: Run) -> str:
    """Return the verdicts on a config over its replicates, and keep them in sanity.csv.

    Empty where no level of this run has a control of other positions: then no other is looked at.
    Damage in another replicate is a warning, and no error of this one.
    """
    base, own = run.folder.parent, branches(run.folder)
    if not len(own) or not own["branch"].isin(POSITIONS).any():
        return ""
    rows = judge([f for f in runs_in(base) if readable(run, f)])
    if not rows:
        return ""
    for line in lost([run.folder]):
        run.watch.warn(f"the verdict: {line}")
    with locks.lock(base / ".lock"):  # against the other replicates
        disk.sweep(base)
        disk.write_if_new(base / "sanity.csv", table(rows))
    return sanity_table(rows, run.task.metrics[0])


def readable(run: Run, folder: Path) -> bool:
    """Say whether a replicate can be judged; warn where it cannot."""
    try:
        sound(folder)
    except (DamagedError, DiskError) as error:
        run.watch.warn(f"the verdict leaves out {folder.name}: {error}")
        return False
    return True


def closing(locked: LockedRun, rows: list[dict[str, Any]], follow: bool) -> str:
    """Return the table of the levels, what was trained and shared, and the path.

    After `lottery branch` the tables are those of its branches.
    """
    run, metric = locked.run, locked.run.task.metrics[0]
    tables = [level_table(rows, metric)]
    if follow and run.parts.branches:
        made = branches(run.folder)
        made = made[made["branch"].isin([*run.parts.branches])]
        tables = list(branch_tables(rows[:1], made, metric))
    if run.parts.analyses:
        tables = [] if follow else tables
        tables += texts([run.folder], [*run.parts.analyses])
    counts = ", ".join(f"{number} {how}" for how, number in locked.counts.items())
    lines = [ending(locked)] if run.parts.until else []
    return "\n\n".join([*tables, "\n".join([*lines, f"levels: {counts}", near(run.folder)])])


def ending(locked: LockedRun) -> str:
    """Return which level has ended a run with levels_until, or that none is below dense yet."""
    run, entries = locked.run, locked.ledger.levels
    last = last_level(run.parts, run.outputs, entries, run.task.metrics[0])
    said = f"validation below {run.parts.until.said if run.parts.until else ''}"
    return f"no level up to {run.parts.levels}: {said}" if last is None else f"level {last}: {said}"


def in_a_line(locked: LockedRun, rows: list[dict[str, Any]]) -> str:
    """Return what a job of a sweep reached, what was trained and shared, and the path."""
    run = locked.run
    metric, last = run.task.metrics[0], rows[-1]
    split = "test" if number(last.get(f"test_{metric.name}")) else "val"
    found, dense = (row.get(f"{split}_{metric.name}") for row in (last, rows[0]))
    words = [f"level {last['level']}, density {last['density']:.4g}"]
    if found is not None and number(found):
        named = split if metric.name == ACCURACY.name else f"{split} {metric.label}"
        words.append(f"{named} {metric.said(found)}")
        if dense is not None and last is not rows[0]:
            gain = metric.shown(metric.gain(float(found), float(dense)), "+", dense)
            words[-1] += f" ({gain} to dense)"
    words += [ending(locked)] if run.parts.until else []
    words += [f"{count} {how}" for how, count in locked.counts.items() if count]
    return f"{', '.join(words)}; {near(run.folder)}"

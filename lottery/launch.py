"""Start a run on this machine: device, data, lock, run.json, and the closing table."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lottery import __version__, config, disk, locks, records, signals
from lottery.boards import About
from lottery.checkpoints import set_aside
from lottery.checks import validate
from lottery.environment import differences, explained, fingerprint, set_up
from lottery.errors import DamagedError, DiskError, LotteryError, UsageError
from lottery.experiment import run_levels
from lottery.files import CONFIG, read_plain
from lottery.identity import changes, flat, identity, run_folder
from lottery.logbook import Logbook
from lottery.opening import open_run, pick_device
from lottery.parts import Parts
from lottery.pulse import Pulse
from lottery.records import RUN, digest, read_run, signed
from lottery.results import branches, level_table, metrics
from lottery.resume import refuse_or_warn
from lottery.rows import read_rows, write_overlaps
from lottery.runs import Run
from lottery.sanity import HEADING, judge, sanity_table
from lottery.space import check_space
from lottery.states import fingerprint_of_ticket
from lottery.sweep import Sweep
from lottery.tables import table


@dataclass(frozen=True)
class Ran:
    """What a command did for one run."""

    folder: Path
    counts: dict[str, int]  # levels and branches: trained, shared, already there
    seconds: float


def launch(
    settings: dict[str, Any],
    parts: Parts,
    name: str,
    command: str,
    choices: dict[str, str] | None = None,
    follow: bool = False,
    sweep: Sweep | None = None,
) -> Ran:
    """Run one bound config from data to closing table.

    `choices` are the options it was composed of, by which people know it (model=resnet20);
    `follow` is for what is added to a finished run: its own command and state stay on record;
    `sweep` is the sweep that this is a job of.
    """
    clock = time.monotonic()
    signals.install(command)
    set_up(settings["host"]["threads"], settings["host"]["deterministic"])
    folder = run_folder(settings, name)
    boards = config.boards(settings, About(folder, flat(identity(settings))))
    run = open_run(settings, parts, folder, pick_device(settings["host"]["device"]), sweep)
    validate(run)
    check_space(run)
    with locks.lock(folder / ".lock", run=True):
        disk.sweep(folder)
        run.watch.pulse = Pulse(folder)
        run.watch.pulse.end()  # that of a process that was killed
        run.ledger.read(run.watch.warn)
        before = read_before(run)
        refuse_drift(run, settings, before)
        run.ledger.write_files({"config.yaml": config_text(run, settings)})
        logbook = Logbook(folder, boards, run.watch.warn)
        run.watch.followers = [logbook] if boards else []
        try:
            keep_record(run, command, choices or {}, follow, before)
        except RuntimeError as error:
            if known := explained(error):
                raise known from error
            raise
        finally:
            logbook.close()
    return Ran(folder, run.counts, time.monotonic() - clock)


def read_before(run: Run) -> dict[str, Any]:
    """Return what an earlier command left in run.json; {} where there is none.

    A damaged one is set aside. It says on what data the levels were trained, so without it no
    level is trusted until its key was found again.
    """
    path = run.folder / RUN
    try:
        return read_run(run.folder)
    except FileNotFoundError:
        run.ledger.forget()
    except DamagedError as error:
        run.ledger.forget()
        aside = set_aside(path)
        run.watch.warn(f"{error}; it is kept as {aside.name}, and begun again")
    return {}


def refuse_drift(run: Run, settings: dict[str, Any], before: dict[str, Any]) -> None:
    """Raise UsageError where the folder holds a run of another config or of other data.

    Another environment is a warning, or with `strict` an error too.
    """
    path = run.folder / "config.yaml"
    if there := config_before(run):
        asked, before_it = identity(settings), identity(there)
        if asked != before_it:
            raise UsageError(
                f"{path} is not the config that is asked for "
                f"({'; '.join(changes(before_it, asked))}): it was edited or damaged, since the "
                "folder is named for the config that is asked for; to go on: "
                f"rm {shlex.quote(str(path))}, then type the same command"
            )
    for key, value, what in (
        ("data", run.task.fingerprint, "the data set"),
        ("spread", run.spread, "a table of layer densities"),
        ("ticket", fingerprint_of_ticket(run), "the ticket of rewind.path"),
    ):
        if before.get(key, value) != value:
            raise UsageError(
                f"{run.folder}: {what} has changed since this run began; restore it, or give this "
                "run another name=..."
            )
    changed = differences(before.get("environment", {}), fingerprint(run.task.device))
    if changed:
        refuse_or_warn("what is there of this run", changed, run.watch, run.strict)
        run.warned.append(0)


def config_before(run: Run) -> dict[str, Any] | None:
    """Return the config that the run was begun with; None where there is none.

    The folder is named for the config, so a damaged one is set aside, and written again.
    """
    path = run.folder / "config.yaml"
    if not path.exists():
        return None
    try:
        return config.read(path)
    except DamagedError as error:
        aside = set_aside(path)
        run.watch.warn(f"{error}; it is kept as {aside.name}, and written again")
        return None


def config_text(run: Run, settings: dict[str, Any]) -> bytes:
    """Return what config.yaml is to hold: the config that this run was begun with."""
    path = run.folder / "config.yaml"
    known = run.ledger.files.get("config.yaml", [])
    data = read_plain(path, CONFIG) if path.exists() else b""
    if digest(data) in known:
        return data
    if known:
        run.watch.warn(f"{path} is not as it was written; it is written again")
    return config.text(settings).encode()


def keep_record(
    run: Run, command: str, choices: dict[str, str], follow: bool, before: dict[str, Any]
) -> None:
    """Run the levels, with run.json telling how it stands."""
    clock = time.monotonic()
    now = fingerprint(run.task.device)
    changed = differences(before.get("environment", {}), now)
    drift = [f"{records.now()}: {', '.join(changed)}"] if changed else []
    longest = run.parts.levels >= before.get("levels_asked", 0)  # what finishes it is on record
    record = {
        "run": run.identity,
        "state": "running",
        "command": command if longest and not follow else before.get("command", command),
        "choices": choices or before.get("choices", {}),
        "followed_by": [*before.get("followed_by", []), *([command] if follow else [])],
        "started": before.get("started", records.now()),
        "resumed": [*before.get("resumed", []), records.now()] if before else [],
        "seconds": before.get("seconds", 0.0),
        "levels_asked": max(run.parts.levels, before.get("levels_asked", 0)),
        "replicate": run.parts.replicate,
        "data": run.task.fingerprint,
        "spread": run.spread,
        "ticket": fingerprint_of_ticket(run),
        "environment": now,
        "drift": [*before.get("drift", []), *drift],
        **origin(run.task.device),
    }
    write_record(run, record)
    spent = record["seconds"]
    try:
        run_levels(run)
        write_overlaps(run)
        record["state"] = before.get("state", "done") if follow else "done"
    except LotteryError as error:
        record |= {"state": "stopped" if error.code >= 75 else "failed", "error": str(error)}
        raise
    except KeyboardInterrupt:
        record |= {"state": "stopped", "error": "interrupted at once, by a second signal"}
        raise
    except BaseException as error:
        record |= {"state": "failed", "error": f"{type(error).__name__}: {error}"}
        raise
    finally:
        run.watch.close()
        record |= {"seconds": spent + time.monotonic() - clock, "ended": records.now()}
        close_record(run, record)
    print(closing(run, read_rows(run)))
    if verdicts := judged(run):
        print(verdicts)


def write_record(run: Run, record: dict[str, Any]) -> None:
    """Write run.json."""
    disk.write_json(run.folder / RUN, signed(record))


def close_record(run: Run, record: dict[str, Any]) -> None:
    """Write run.json at the end; where an error is on its way, a full disk adds no second one."""
    failing = sys.exc_info()[0] is not None
    try:
        write_record(run, record)
    except DiskError as error:
        if not failing:
            raise
        run.watch.warn(str(error))


def judged(run: Run) -> str:
    """Return the verdicts on a config over its replicates, and keep them in sanity.csv.

    Empty where no level has a control of other positions. Damage in another replicate is a
    warning, and no error of this one.
    """
    base = run.folder.parent
    rows = judge([f for f in sorted(base.glob("replicate_*")) if readable(run, f)])
    if not rows:
        return ""
    with locks.lock(base / ".lock"):  # against the other replicates
        disk.sweep(base)
        disk.write_if_new(base / "sanity.csv", table(rows))
    return f"\n{HEADING}\n{sanity_table(rows)}"


def readable(run: Run, folder: Path) -> bool:
    """Say whether the tables of a replicate can be read; warn where they cannot."""
    try:
        metrics(folder)
        branches(folder)
    except (DamagedError, DiskError) as error:
        run.watch.warn(f"the verdict leaves out {folder.name}: {error}")
        return False
    return True


def origin(device: torch.device) -> dict[str, Any]:
    """Return where and with what a run was made."""
    return {
        "lottery": __version__,
        "git": git(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "host": records.hostname(),
        "pid": os.getpid(),
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
    }


def git() -> str | None:
    """Return the commit of this checkout, with "+" where files have changed; None outside one."""
    here = Path(__file__).parent
    if not (here.parent / ".git").exists():
        return None
    try:
        ask = ["git", "-C", str(here.parent), "describe", "--always", "--abbrev=40", "--dirty=+"]
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def closing(run: Run, rows: list[dict[str, Any]]) -> str:
    """Return the table of the levels, what was trained and shared, and the path."""
    counts = ", ".join(f"{number} {how}" for how, number in run.counts.items())
    try:
        path = run.folder.relative_to(Path.cwd())
    except ValueError:
        path = run.folder
    return f"{level_table(rows)}\n\nlevels: {counts}\n{path}"

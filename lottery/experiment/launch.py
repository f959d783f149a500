"""Start a run on this machine: device, data, lock, and what an earlier command left of it."""

from __future__ import annotations

import contextlib
import shlex
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lottery.config import build
from lottery.config.identity import NOT_IDENTITY, changes, flat, identity, run_folder
from lottery.config.source_hash import UNREADABLE
from lottery.errors import DamagedError, UsageError
from lottery.experiment import logbook as logbooks
from lottery.experiment.chain import changed_since, fingerprint_of_ticket
from lottery.experiment.checks import validate
from lottery.experiment.logbook import Logbook
from lottery.experiment.open_run import open_run
from lottery.experiment.record import edited, keep_record
from lottery.experiment.run import Run
from lottery.experiment.space import check_space
from lottery.machine import signals
from lottery.machine.devices import pick_device
from lottery.machine.environment import differences, explaining, fingerprint, set_up
from lottery.progress.bars import Progress
from lottery.progress.boards import About, Board
from lottery.progress.pulse import Pulse
from lottery.progress.sweep import Sweep
from lottery.storage import disk, locks
from lottery.storage.checkpoints import set_aside
from lottery.storage.files import CONFIG, digest, read_plain
from lottery.storage.records import RUN, read_run
from lottery.storage.settings import read_config
from lottery.storage.warned import warned
from lottery.terms.kept import FORMAT
from lottery.terms.parts import Parts
from lottery.training.resume import refuse_or_warn
from lottery.wording.text import private


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
    boards = logbooks.boards(settings, About(folder, private(flat(identity(settings)))))
    with explaining():
        run = open_run(settings, parts, folder, pick_device(settings["host"]["device"]), sweep)
    with noted(run.watch), explaining():
        work(run, settings, boards, command, choices or {}, follow)
    return Ran(folder, run.counts, time.monotonic() - clock)


@contextlib.contextmanager
def noted(watch: Progress) -> Iterator[None]:
    """Keep what Python's own warnings say among those of the run."""
    before = warnings.showwarning

    def show(message: Warning | str, *given: Any, **more: Any) -> None:
        watch.warnings.append(warned(message))
        before(message, *given, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def work(
    run: Run,
    settings: dict[str, Any],
    boards: Mapping[str, Board],
    command: str,
    choices: dict[str, str],
    follow: bool,
) -> None:
    """Check a run, lock it, read what is there of it, and train what is missing."""
    folder = run.folder
    validate(run)
    check_space(run)
    with locks.lock(folder / ".lock", run=True):
        disk.sweep(folder)
        run.watch.pulse = Pulse(folder)
        run.watch.pulse.end()  # that of a process that was killed
        run.ledger.read(partial(run.watch.warn, kind="damage"))
        before = read_before(run)
        refuse_drift(run, settings, before)
        run.ledger.write_files({"config.yaml": config_text(run, settings)})
        logbook = Logbook(folder, boards, partial(run.watch.warn, kind="board"))
        run.watch.followers = [logbook] if boards else []
        try:
            keep_record(run, command, choices, follow, before)
        finally:
            logbook.close()


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
        run.watch.warn(f"{error}; it is kept as {aside.name}, and begun again", "damage")
    return {}


def refuse_drift(run: Run, settings: dict[str, Any], before: dict[str, Any]) -> None:
    """Raise UsageError where the folder holds a run of another config, other data or other keys.

    Another environment or source is a warning, or with `strict` an error too.
    """
    path = run.folder / "config.yaml"
    if before and before.get("format", 0) != FORMAT:
        raise UsageError(
            f"{run.folder} was begun by another version of lottery, which knew data and levels by "
            "other keys; it stays as it is, to be looked at; to train it anew beside it add "
            f"name={shlex.quote(run.folder.parents[1].name + '_again')}"
        )
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
            raise changed_since(run, what)
    changed = differences(before.get("environment", {}), fingerprint(run.task.device))
    if changed:
        refuse_or_warn("what is there of this run", changed, run.watch, run.strict)
        run.warned.append(0)
    heed_edits(run, before)


def heed_edits(run: Run, before: dict[str, Any]) -> None:
    """Warn of components of other packages that were edited since, or whose source is unreadable.

    Then no level of the run is trusted until it was found again by its key.
    """
    if changed := edited(run, before):
        said = f"{' and '.join(changed)} has changed since this run began"
        if run.strict:
            raise UsageError(f"strict: {said}; put it back, or type strict=false")
        run.watch.warn(
            f"{said}: its levels are made again where that matters; to keep the old, put it back"
        )
        run.ledger.forget()
    hidden = [place for place, sha in run.parts.code.items() if sha == UNREADABLE]
    if hidden:
        run.watch.warn(f"no source of its {', '.join(hidden)} can be read: an edit goes unnoticed")


def config_before(run: Run) -> dict[str, Any] | None:
    """Return the config that the run was begun with; None where there is none.

    The folder is named for the config, so a damaged one is set aside, and written again.
    """
    path = run.folder / "config.yaml"
    if not path.exists():
        return None
    try:
        return read_config(path)
    except DamagedError as error:
        aside = set_aside(path)
        run.watch.warn(f"{error}; it is kept as {aside.name}, and written again", "damage")
        return None


def config_text(run: Run, settings: dict[str, Any]) -> bytes:
    """Return what config.yaml is to hold: the config that this run was begun with."""
    path = run.folder / "config.yaml"
    known = run.ledger.files.get("config.yaml", [])
    data = read_plain(path, CONFIG) if path.exists() else b""
    if digest(data) in known:
        return data
    if known:
        run.watch.warn(f"{path} is not as it was written; it is written again", "damage")
    kept = {k: private(v) if k in NOT_IDENTITY else v for k, v in settings.items()}
    return build.text(kept).encode()

"""Keep the folder of a run to one process, and refuse to go on with what is not the same run."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from lottery.config import build
from lottery.config.identity import NOT_IDENTITY, changes, identity
from lottery.config.source_hash import UNREADABLE
from lottery.errors import DamagedError, UsageError
from lottery.experiment.chain import changed_since
from lottery.experiment.conclusion import conclude
from lottery.experiment.logbook import Logbook
from lottery.experiment.record import edited, on_record
from lottery.experiment.run import LockedRun, Run
from lottery.machine.environment import differences, fingerprint
from lottery.progress.boards import Board
from lottery.progress.pulse import Pulse
from lottery.storage import disk, locks
from lottery.storage.checkpoints import set_aside
from lottery.storage.files import CONFIG, digest, read_plain
from lottery.storage.ledger import Ledger
from lottery.storage.records import RUN, read_run
from lottery.storage.settings import read_config
from lottery.terms.kept import FORMAT
from lottery.training.resume import refuse_or_warn
from lottery.wording.text import private


@contextlib.contextmanager
def life(
    run: Run, settings: dict[str, Any], command: str, choices: dict[str, str], follow: bool,
    boards: Mapping[str, Board],
) -> Iterator[LockedRun]:  # fmt: skip
    """Lock a run, take up what is there of it, and keep its record while levels are made.

    `command` is what goes on with it, `choices` the options that it was composed of; with `follow`
    it adds to a finished run. In the end says what it came to. Raises UsageError where the folder
    holds another run, LockedError where another process works on it. The lock is held until all is
    said: nobody removes or changes the run meanwhile.
    """
    folder = run.folder
    with locks.lock(folder / ".lock", run=True):
        disk.sweep(folder)
        run.watch.pulse = Pulse(folder)
        run.watch.pulse.end()  # that of a process that was killed
        ledger = Ledger(folder)
        ledger.read(partial(run.watch.warn, kind="damage"))
        locked = LockedRun(run, ledger, read_before(run, ledger))
        refuse_drift(locked, settings)
        ledger.write_files({"config.yaml": config_text(locked, settings)})
        logbook = Logbook(folder, boards, partial(run.watch.warn, kind="board"))
        run.watch.followers = [logbook] if boards else []
        try:
            with on_record(locked, command, choices, follow):
                yield locked
            conclude(locked, follow)
        finally:
            logbook.close()


def read_before(run: Run, ledger: Ledger) -> dict[str, Any]:
    """Return what an earlier command left in run.json; {} where there is none.

    A damaged one is set aside. It says on what data the levels were trained, so without it no
    level is trusted until its key was found again.
    """
    path = run.folder / RUN
    try:
        return read_run(run.folder)
    except FileNotFoundError:
        ledger.forget()
    except DamagedError as error:
        ledger.forget()
        aside = set_aside(path)
        run.watch.warn(f"{error}; it is kept as {aside.name}, and begun again", "damage")
    return {}


def refuse_drift(locked: LockedRun, settings: dict[str, Any]) -> None:
    """Raise UsageError where the folder holds a run of another config, other data or other keys.

    Another environment or source is a warning, or with `strict` an error too.
    """
    run, before = locked.run, locked.before
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
        ("ticket", run.settled.fingerprint, "the ticket of rewind.path"),
    ):
        if before.get(key, value) != value:
            raise changed_since(run, what)
    began, now = before.get("start"), run.initial.source
    if began and now and began["sha256"] != now["sha256"]:
        raise changed_since(run, "the file that it starts with")
    changed = differences(before.get("environment", {}), fingerprint(run.task.device))
    if changed:
        refuse_or_warn("what is there of this run", changed, run.watch, run.strict)
        locked.elsewhere = True
    heed_edits(locked)


def heed_edits(locked: LockedRun) -> None:
    """Warn of components of other packages that were edited since, or whose source is unreadable.

    Then no level of the run is trusted until it was found again by its key.
    """
    run = locked.run
    if changed := edited(run, locked.before):
        said = f"{' and '.join(changed)} has changed since this run began"
        if run.strict:
            raise UsageError(f"strict: {said}; put it back, or type strict=false")
        run.watch.warn(
            f"{said}: its levels are made again where that matters; to keep the old, put it back"
        )
        locked.ledger.forget()
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


def config_text(locked: LockedRun, settings: dict[str, Any]) -> bytes:
    """Return what config.yaml is to hold: the config that this run was begun with."""
    path = locked.run.folder / "config.yaml"
    known = locked.ledger.files.get("config.yaml", [])
    data = read_plain(path, CONFIG) if path.exists() else b""
    if digest(data) in known:
        return data
    if known:
        locked.run.watch.warn(f"{path} is not as it was written; it is written again", "damage")
    kept = {k: private(v) if k in NOT_IDENTITY else v for k, v in settings.items()}
    return build.text(kept).encode()

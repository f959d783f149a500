"""Keep run.json, the record of a run, while its levels are made."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lottery.config.blame import in_words
from lottery.config.packages import of_options
from lottery.errors import REQUEUE, DiskError, LotteryError
from lottery.experiment.ending import last_level
from lottery.experiment.run import LockedRun, Run
from lottery.machine.environment import differences, fingerprint
from lottery.machine.parents import LOG
from lottery.machine.version import __version__
from lottery.storage import disk, records
from lottery.storage.records import RUN, position, signed
from lottery.storage.warned import as_data, merged, of_record
from lottery.terms.kept import FORMAT
from lottery.wording.text import private, started, unmasked


@contextlib.contextmanager
def on_record(
    locked: LockedRun, command: str, choices: dict[str, str], follow: bool
) -> Iterator[None]:
    """Let run.json tell how a run stands, while its levels are made and after.

    `command` is what goes on with it, `choices` the options that it was composed of; where it is to
    `follow` a finished run, command and state of that stay on record.
    """
    clock, run, before = time.monotonic(), locked.run, locked.before
    now = fingerprint(run.task.device)
    changed = differences(before.get("environment", {}), now)
    changed += edited(run, before)
    drift = [f"{records.now()}: {', '.join(changed)}"] if changed else []
    until, asked = run.parts.until, before.get("levels_asked", 0)
    longest = until is not None or run.parts.levels >= asked  # what finishes it is on record
    record = {
        "run": run.identity,
        "state": "running",
        "command": command if longest and not follow else before.get("command", command),
        "choices": choices or before.get("choices", {}),
        "packages": of_options(choices) if choices else before.get("packages", []),
        "followed_by": [*before.get("followed_by", []), *([command] if follow else [])],
        "started": before.get("started", records.now()),
        "resumed": [*before.get("resumed", []), records.now()] if before else [],
        "seconds": before.get("seconds", 0.0),
        **levels_asked(run, asked),
        "replicate": run.parts.replicate,
        "format": FORMAT,
        "data": run.task.fingerprint,
        "metrics": [metric.data() for metric in run.task.metrics],
        "measured_by": getattr(run.task, "measured_by", {}),
        "chance": run.task.chance,
        "code": before.get("code", {}) | run.parts.code,  # of branches that are not asked for, too
        "spread": run.spread,
        "unmasked": run.unmasked,
        "ticket": run.settled.fingerprint,
        "start": run.initial.source or before.get("start"),
        "environment": now,
        "drift": [*before.get("drift", []), *drift],
        **origin(run.task.device),
    }
    if run.unmasked:
        run.watch.say(unmasked(run.unmasked))
    if source := run.initial.source:
        run.watch.say(started(source))
    keep_warnings(run, record, before)
    write_record(run, record)
    spent = record["seconds"]
    try:
        yield
        if until is not None:
            settle_levels(locked, record)
        short = follow and run.parts.levels < asked
        record["state"] = before.get("state", "done") if short else "done"
    except (KeyboardInterrupt, GeneratorExit):  # the latter: between `with` and body
        record |= {"state": "stopped", "error": "interrupted at once, by a second signal"}
        raise
    except BaseException as error:
        told = in_words(error) if isinstance(error, Exception) else error
        if isinstance(told, LotteryError):
            record["state"] = "stopped" if told.code >= REQUEUE else "failed"
            record["error"] = str(told)
        else:
            record |= {"state": "failed", "error": f"{type(error).__name__}: {error}"}
        raise
    finally:
        if follow and before.get("state") == "done":  # what is added to a run takes nothing from it
            record["state"] = "done"
            record.pop("error", None)
        run.watch.close()
        run.watch.keep = None
        record |= {"seconds": spent + time.monotonic() - clock, "ended": records.now()}
        record["did"] = dict(locked.counts)
        close_record(run, record)


def levels_asked(run: Run, before: int) -> dict[str, int]:
    """Return what run.json says of how many levels are wanted, `before` those of before.

    With levels_until only how many there are at most is known, until one of them was the last.
    """
    if run.parts.until is not None:
        return {"levels_most": run.parts.levels}
    return {"levels_asked": max(run.parts.levels, before)}


def settle_levels(locked: LockedRun, record: dict[str, Any]) -> None:
    """Let a run that levels_until has ended count as one that was asked for the levels it has."""
    run, entries = locked.run, locked.ledger.levels
    last = last_level(run.parts, run.outputs, entries, run.task.metrics[0]) or run.parts.levels
    places = filter(None, map(position, entries))
    record["levels_asked"] = max(level for level, _ in places)
    if record["levels_asked"] > last:  # a longer command has made more
        record["command"] = locked.before.get("command", record["command"])


def edited(run: Run, before: dict[str, Any]) -> list[str]:
    """Return in words which components have another source than when the run was begun."""
    then = before.get("code", {})
    places = [place for place, sha in run.parts.code.items() if then.get(place, sha) != sha]
    return [f"the source code of its {place}" for place in places]


def keep_warnings(run: Run, record: dict[str, Any], before: dict[str, Any]) -> None:
    """Let the record hold what the run was and is warned of, from each warning on."""

    def keep() -> None:
        there = len(record["warnings"])
        hold()
        if len(record["warnings"]) > there:
            with contextlib.suppress(DiskError):  # a full disk fails the run where it matters
                write_record(run, record)

    def hold() -> None:
        record["warnings"] = as_data(merged(of_record(before), run.watch.warnings))

    hold()
    run.watch.keep = keep


def write_record(run: Run, record: dict[str, Any]) -> None:
    """Write run.json."""
    disk.write_json(run.folder / RUN, signed(private(record)))


def close_record(run: Run, record: dict[str, Any]) -> None:
    """Write run.json at the end; where an error is on its way, a full disk adds no second one."""
    failing = sys.exc_info()[0] is not None
    try:
        write_record(run, record)
    except DiskError as error:
        if not failing:
            raise
        run.watch.warn(str(error))


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
        "log": os.environ.get(LOG),
    }


def git() -> str | None:
    """Return the commit of this checkout, with "+" where files have changed; None outside one."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():
        return None
    try:
        ask = ["git", "-C", str(checkout), "describe", "--always", "--abbrev=40", "--dirty=+"]
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

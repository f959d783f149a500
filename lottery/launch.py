"""Start a run on this machine: device, data, lock, run.json, and the closing table."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lottery import __version__, config, signals, store
from lottery.checks import validate
from lottery.errors import LotteryError, UsageError
from lottery.experiment import run_levels
from lottery.parts import Parts, Recipe
from lottery.progress import Progress
from lottery.records import read_json
from lottery.results import level_table
from lottery.rows import read_rows, write_overlaps
from lottery.runs import Run
from lottery.sanity import HEADING, judge, sanity_table
from lottery.tables import table


def launch(
    settings: dict[str, Any], parts: Parts, name: str, command: str, follow: bool = False
) -> None:
    """Run one bound config from data to closing table.

    `follow` is for what is added to a finished run: its own command and state stay on record.
    """
    signals.install(command)
    set_up(settings["host"]["threads"])
    device = pick_device(settings["host"]["device"])
    outputs = Path(settings["outputs"]).expanduser().absolute()
    base = outputs / checked_name(settings["name"] or name) / config.run_id(settings)
    folder = base / f"replicate_{settings['replicate']}"
    task = parts.dataset(Path(settings["data"]).expanduser()).prepare(
        batch_size=parts.recipe.batch_size,
        device=device,
        label_smoothing=parts.recipe.label_smoothing,
        channels_last=channels_last(parts.recipe, device),
    )
    run = Run(
        parts=parts,
        task=task,
        outputs=outputs,
        folder=folder,
        identity=f"{base.name}/replicate_{parts.replicate}",
        checkpoint_every=settings["checkpoint_every"],
        watch=Progress(settings["host"]["progress"], parts.levels),
    )
    validate(run)
    with store.lock(folder / ".lock", holder=folder / "run.json"):
        store.sweep(folder)
        refuse_drift(run, settings)
        keep_record(run, command, follow)


def checked_name(name: str) -> str:
    """Return the name of a run's folder; raises UsageError for one that is none."""
    if name in ("store", ".", "..") or not name.strip() or {"/", "\\"} & set(name):
        raise UsageError(f"name: '{name}' is no name for a folder under outputs/")
    return name


def set_up(threads: int | None) -> None:
    """Fix what torch does on the CPU.

    Denormal numbers are flushed to zero: they cost Adam half its speed and no result needs them.
    """
    torch.set_flush_denormal(True)
    if threads is not None:
        torch.set_num_threads(threads)


def pick_device(name: str) -> torch.device:
    """Return the device that `name` asks for; raises UsageError where it is not to be had."""
    if name == "auto":
        name = (
            "cuda"
            if torch.cuda.is_available()
            else ("mps" if torch.backends.mps.is_available() else "cpu")
        )
    try:
        device = torch.device(name)
        float(torch.zeros(1, device=device))  # "meta" makes tensors that hold nothing
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"host.device: '{name}' cannot be used here "
            f"({str(error).splitlines()[0]}); write auto or cpu"
        ) from error
    return device


def channels_last(recipe: Recipe, device: torch.device) -> bool:
    """Say whether images and convolutions go channels-last.

    By default where it is faster: on the CPU (measured: ResNet-20 gains 10 to 15 %), and on CUDA
    for bf16, whose tensor cores want it.
    """
    if recipe.channels_last == "auto":
        return device.type == "cpu" or (device.type == "cuda" and recipe.precision == "bf16")
    return recipe.channels_last == "yes"


def refuse_drift(run: Run, settings: dict[str, Any]) -> None:
    """Raise UsageError where the folder holds a run of another config or of other data."""
    path = run.folder / "config.yaml"
    if path.exists() and config.identity(config.read(path)) != config.identity(settings):
        raise UsageError(
            f"{path} is not the config that is asked for; move the folder away "
            "or give this run another name=..."
        )
    record = read_json(run.folder / "run.json")
    if record.get("data", run.task.fingerprint) != run.task.fingerprint:
        raise UsageError(
            f"{run.folder}: the data set has changed since this run began; restore "
            "it, or give this run another name=..."
        )
    if record.get("spread", run.spread) != run.spread:
        raise UsageError(
            f"{run.folder}: a table of layer densities has changed since this run began; restore "
            "it, or give this run another name=..."
        )
    if not path.exists():
        store.write(path, config.text(settings).encode())


def keep_record(run: Run, command: str, follow: bool) -> None:
    """Run the levels, with run.json telling how it stands."""
    before = read_json(run.folder / "run.json")
    clock = time.monotonic()
    record = {
        "state": "running",
        "command": before.get("command", command) if follow else command,
        "followed_by": [*before.get("followed_by", []), *([command] if follow else [])],
        "started": before.get("started", now()),
        "resumed": [*before.get("resumed", []), now()] if before else [],
        "seconds": before.get("seconds", 0.0),
        "levels_asked": max(run.parts.levels, before.get("levels_asked", 0)),
        "replicate": run.parts.replicate,
        "data": run.task.fingerprint,
        "spread": run.spread,
        **environment(run.task.device),
    }
    store.write_json(run.folder / "run.json", record)
    spent = record["seconds"]
    try:
        run_levels(run)
        write_overlaps(run)
        record["state"] = before.get("state", "done") if follow else "done"
    except LotteryError as error:
        record |= {"state": "stopped" if error.code >= 75 else "failed", "error": str(error)}
        raise
    except BaseException as error:
        record |= {"state": "failed", "error": f"{type(error).__name__}: {error}"}
        raise
    finally:
        run.watch.close()
        record |= {"seconds": spent + time.monotonic() - clock, "ended": now()}
        store.write_json(run.folder / "run.json", record)
    print(closing(run, read_rows(run)))
    if verdicts := judged(run.folder.parent):
        print(verdicts)


def judged(base: Path) -> str:
    """Return the verdicts on a config over its replicates, and keep them in sanity.csv.

    Empty where no level has a control of other positions.
    """
    rows = judge(sorted(base.glob("replicate_*")))
    if not rows:
        return ""
    store.write_if_new(base / "sanity.csv", table(rows))
    return f"\n{HEADING}\n{sanity_table(rows)}"


def environment(device: torch.device) -> dict[str, Any]:
    """Return what the numbers may depend on beside the config."""
    return {
        "lottery": __version__,
        "git": git(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "host": store.hostname(),
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


def now() -> str:
    """Return the time to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def closing(run: Run, rows: list[dict[str, Any]]) -> str:
    """Return the table of the levels, what was trained and shared, and the path."""
    counts = ", ".join(f"{number} {how}" for how, number in run.counts.items())
    try:
        path = run.folder.relative_to(Path.cwd())
    except ValueError:
        path = run.folder
    return f"{level_table(rows)}\n\nlevels: {counts}\n{path}"

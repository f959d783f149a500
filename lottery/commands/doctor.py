"""Examine the environment and all under outputs/; say what to type where something is wrong.

usage: lottery doctor [--repair] [fast=true] [outputs=DIR] [data=DIR]

Reads every file of every trained level and compares it with its checksum; fast=true leaves that
out. --repair removes half-written files whose writer is gone and makes the links of runs as their
manifests say; it changes nothing else.

exit codes: 0 healthy (what is only left over does no harm), 4 something is damaged or unfit
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lottery.commands import options
from lottery.errors import DAMAGED, DONE, DamagedError, LotteryError, UsageError
from lottery.results.formats import wrapped
from lottery.storage.files import TEMPORARY
from lottery.upkeep import garbage, health
from lottery.upkeep.entries import Shelved, size
from lottery.upkeep.health import Finding
from lottery.upkeep.inventory import Inventory
from lottery.wording.text import expanded, in_words, near, outputs_word, printable

KNOWN = {"outputs": "outputs", "data": "", "fast": "false"}
HYDRA = ((1, 3, 8), (1, 5))  # from, and below: what pyproject.toml asks for
WIDEST = 70  # characters of what stands before a line's text
Row = tuple[str, str] | Finding


def main(arguments: list[str]) -> int:
    """Print what was found; return the exit code."""
    words, chosen = options([a for a in arguments if a != "--repair"], __doc__, KNOWN)
    if words is None:
        return DONE
    if words or chosen["fast"] not in ("true", "false"):
        wrong = words[0] if words else f"fast={chosen['fast']}"
        raise UsageError(f"doctor: '{wrong}' is nothing it takes; type lottery doctor --help")
    inventory = Inventory(Path(chosen["outputs"]).expanduser())
    faults = section("environment", list(environment()))
    section("data", [data(chosen["data"])])
    if "--repair" in arguments:
        section("repaired", list(repaired(inventory)) or [("", "nothing had to be")])
    faults += examine(inventory, chosen["fast"] == "true")
    things = "1 thing is" if faults == 1 else f"{faults} things are"
    print(f"\n{things} damaged or unfit" if faults else "\nhealthy")
    return DAMAGED if faults else DONE


def examine(inventory: Inventory, fast: bool) -> int:
    """Print what lies under outputs; return how much of it is damaged."""
    runs, levels = inventory.runs(), inventory.levels()
    section(
        "disk", disk(inventory.outputs, f"{number_of(runs, 'run')}, {number_of(levels, 'level')}")
    )
    section("locks", health.locks(inventory) or [("", "none is held")])
    states = Counter(run.state for run in runs)
    counted = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    section("runs", [("", counted or "none"), *health.interrupted(inventory)])
    damage = list(health.damage(inventory, identity, fast))
    looked = "checksums were left out" if fast else "every file is as it was written"
    section("damage", damage or [("", f"none: {looked}")])
    section("left over", left_over(inventory) or [("", "nothing")])
    return len(damage)


def section(title: str, rows: Sequence[Row]) -> int:
    """Print a heading and its rows, aligned; return how many of the rows are findings."""
    lines = [
        (near(row.where), row.what + (f"; type: {row.command}" if row.command else ""))
        if isinstance(row, Finding)
        else row
        for row in rows
    ]
    width = min(WIDEST, max(len(printable(where)) for where, _ in lines))
    print(f"\n{title}")
    for where, text in lines:
        start = f"{printable(where):<{width}}  " if where else ""
        print(wrapped(f"  {start}{printable(text)}"), flush=True)
    return sum(isinstance(row, Finding) for row in rows)


def environment() -> Iterator[Row]:
    """Yield what lottery runs on; a finding for what it cannot run on."""
    from lottery.machine.version import __version__

    yield "lottery", __version__
    yield "python", f"{platform.python_version()}, {platform.platform()}"
    yield from torch_rows()
    low, high = (".".join(map(str, part)) for part in HYDRA)
    version = importlib.metadata.version("hydra-core")
    if HYDRA[0] <= numbers(version) < HYDRA[1]:
        yield "hydra", f"{version} (from {low}, below {high})"
    else:
        fix = f'pip install "hydra-core>={low},<{high}"'
        yield Finding("hydra", f"{version} is outside what works: from {low}, below {high}", fix)
    yield "omegaconf", importlib.metadata.version("omegaconf")


def torch_rows() -> Iterator[Row]:
    """Yield torch, torchvision, the GPU, the CPU and the commit."""
    import torch

    from lottery.experiment.record import git
    from lottery.machine.libraries import torchvision

    yield "torch", torch.__version__
    try:
        torchvision("transforms")
        yield "torchvision", importlib.metadata.version("torchvision")
    except (ImportError, RuntimeError, LotteryError) as error:
        yield Finding("torchvision", str(error).splitlines()[0], "pip install torchvision")
    if torch.cuda.is_available():
        memory = in_words(torch.cuda.get_device_properties(0).total_memory)
        yield "gpu", f"{torch.cuda.get_device_name(0)}, {memory}, CUDA {torch.version.cuda}"
    else:
        yield "gpu", "mps" if torch.backends.mps.is_available() else "none"
    capability = torch.backends.cpu.get_cpu_capability()
    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    yield "cpu", f"{platform.machine()}, {capability}, {threads}"
    yield "git", git() or "not a checkout"


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version."""
    return tuple(int(word) for word in re.findall(r"\d+", version.partition("+")[0])[:3])


def data(chosen: str) -> Row:
    """Return where data sets are looked for."""
    word = chosen or os.environ.get("LOTTERY_DATA", "~/.cache/lottery-data")
    folder = expanded(word)
    if not chosen and not folder.exists() and word.startswith("~") and str(folder)[1:2] == "~":
        return word, "this user has no home folder; type data=DIR, or export LOTTERY_DATA=DIR"
    if not folder.exists():
        return str(folder), "is not there yet; the first download makes it"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return str(folder), "cannot be read or written by you"
    return str(folder), f"{in_words(shutil.disk_usage(folder).free)} free"


def number_of(things: Sequence[object], word: str) -> str:
    """Return how many there are, in words."""
    return f"{len(things)} {word}" + ("" if len(things) == 1 else "s")


def disk(outputs: Path, counts: str) -> list[Row]:
    """Return what outputs takes, and what is free there."""
    there = outputs.absolute()
    if not there.is_dir():
        what = "is no folder" if os.path.lexists(outputs) else "is not there yet"
        there = next(p for p in there.parents if p.is_dir())
        head: Row = (str(outputs), what)
    else:
        head = (str(outputs), f"{counts}, {in_words(size(outputs.resolve()))}")
    return [head, ("free", in_words(shutil.disk_usage(there).free))]


def identity(path: Path) -> str:
    """Return the run id that a config.yaml stands for; raises DamagedError, whatever is in it."""
    from lottery.config.identity import run_id
    from lottery.storage.settings import read_config

    try:
        return run_id(read_config(path))
    except LotteryError:
        raise
    except Exception as error:  # noqa: BLE001 (a file from elsewhere may hold anything)
        raise DamagedError(f"it is no config of a run ({type(error).__name__})") from error


def left_over(inventory: Inventory) -> list[Row]:
    """Return what nobody refers to, with what to type to be rid of it."""
    refer = inventory.references()
    found: list[Row] = [
        Finding(path, f"is not looked into: {refer.unknown[path]}") for path in inventory.links()
    ]
    waiting = health.waiting(inventory)
    pieces = [*garbage.unfinished(inventory), *garbage.corrupt(inventory)]
    pieces += [] if refer.unknown else garbage.unreferenced(inventory)
    for piece in [*pieces, *garbage.stray(inventory)]:
        what = f"{piece.why}, {in_words(piece.size)}"
        command = f"lottery clean {piece.kind}{outputs_word(inventory.outputs)}"
        if piece.kind == "unfinished":
            whose, resume = health.wanted(Shelved(piece.folder), waiting)
            what += f"; {whose}"
            command = resume if waiting else command
        found.append(Finding(piece.folder, what, command))
    return found


def repaired(inventory: Inventory) -> Iterator[Row]:
    """Remove half-written files and make links anew; yield a line for each thing done or left."""
    for piece in garbage.corrupt(inventory):
        names = tuple(n for n in piece.names if n.startswith(TEMPORARY))
        if names:
            try:
                why = garbage.remove(inventory, replace(piece, names=names))
                what = f"left as it is: {why}" if why else f"removed {', '.join(names)}"
            except LotteryError as error:
                what = f"left as it is: {error}"
            yield near(piece.folder), what
    for path, what in health.relink(inventory):
        yield near(path), what

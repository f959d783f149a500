"""Make the files that an attacker would: pickles that run, headers that lie, checksums that match.

Every payload makes a canary file. Whoever sends a whole run directory signs its manifests too, so a
checksum is no defence here: `forge` signs what it changes.
"""

import contextlib
import importlib
import io
import json
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Plan, spawn

from lottery import cli
from lottery.experiment import launch
from lottery.storage.files import digest
from lottery.storage.records import signed

SECONDS = 100  # after which a command counts as hanging
MARK = "-- the next command --"
GROWTH = 600 * 2**20  # bytes that a command may take beyond what this process has


class Bomb:
    """What runs a command where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.canary}'",)


def pickled(canary: Path) -> bytes:
    return pickle.dumps(Bomb(canary))


def torch_zip(canary: Path) -> bytes:
    out = io.BytesIO()
    torch.save({"weights": Bomb(canary)}, out)
    return out.getvalue()


def torch_legacy(canary: Path) -> bytes:
    out = io.BytesIO()
    torch.save({"weights": Bomb(canary)}, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def numpy_objects(canary: Path) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([Bomb(canary)], dtype=object), allow_pickle=True)
    return out.getvalue()


PICKLES = (pickled, torch_zip, torch_legacy, numpy_objects)


def explode(data: bytes) -> None:
    """Unpickle data as a careless program would."""
    for read in (pickle.loads, legacy, partial(npy, allow_pickle=True)):
        try:
            read(data)
        except Exception as error:  # noqa: BLE001 (most readers do not know the format)
            assert error


def legacy(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=False)


def npy(data: bytes, **options: Any) -> Any:
    return np.load(io.BytesIO(data), **options)


def header(text: bytes, data: bytes = b"") -> bytes:
    """Return a safetensors file with this header."""
    return len(text).to_bytes(8, "little") + text + data


def replicate(folder: Path) -> Path:
    """Return the folder of the one run."""
    (found,) = folder.glob("outputs/*/*/replicate_0")
    return found


def shelf(folder: Path, place: str) -> Path:
    """Return the folder of one level of the run in the store."""
    manifest = json.loads((replicate(folder) / "manifest.json").read_bytes())
    return folder / "outputs" / "store" / manifest["levels"][place]["key"]


def sign(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record in place, and sign it as its writer would."""
    body = json.loads(path.read_bytes())
    body.pop("sha256")
    changed = change(body)
    path.write_text(json.dumps(signed(body if changed is None else changed)))


def forge(path: Path, data: bytes) -> None:
    """Put a file in the place of another, and its checksum into the manifest beside it."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    manifest = path.with_name("manifest.json")
    if path.name in ("manifest.json", "run.json") or not manifest.exists():
        return
    of_run = path.parent.name.startswith("replicate_")
    sha: Any = [digest(data)] if of_run else digest(data)
    sign(manifest, lambda body: body["files"].update({path.name: sha}))


Task = tuple[str, ...] | Plan  # a command's words, or a run


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    task: Task
    code: int
    text: str
    growth: int  # bytes of memory of its own, at the most, beyond those that it began with


def command(task: Task) -> int:
    """Call the command line in this process: a command, or the run of a plan."""
    signal.alarm(SECONDS)
    if not isinstance(task, Plan):
        return cli.main(list(task))

    def dispatch(arguments: list[str]) -> int:
        launch.launch(task.settings, task.parts, task.name, task.command)
        return 0

    before, cli.dispatch = cli.dispatch, dispatch
    try:
        return cli.main(["run"])
    finally:
        cli.dispatch = before


def warm(folder: Path, tasks: Sequence[Task]) -> None:
    """Import what commands import, so that no later child has to."""
    names = folder / "modules.txt"

    def last() -> None:
        names.write_text("\n".join(sys.modules))

    outcomes = attempt(folder, *((None, task) for task in tasks), (last, ("--version",)))
    assert not any(outcome.code for outcome in outcomes), outcomes
    for name in names.read_text().split("\n"):
        if name.partition(".")[0] in ("lottery", "torch", "pandas", "numpy", "hydra", "filelock"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def attempt(folder: Path, *each: tuple[Callable[[], object] | None, Task]) -> list[Outcome]:
    """Run tasks in `folder` one after the other in one child, each after its change."""
    note = folder / "codes.txt"

    def work() -> int:
        codes, before = [], held()
        for change, task in each:
            if change:
                change()
            codes.append(command(task))
            print(MARK)
        note.write_text(json.dumps([codes, most_held() - before]))
        return 0

    _, status = os.waitpid(spawn(folder, work), 0)
    text = (folder / "out.txt").read_bytes().decode(errors="surrogateescape")
    assert status == 0, (status, text[-3000:])
    (codes, growth), texts = json.loads(note.read_text()), text.split(f"{MARK}\n")
    return [
        Outcome(task, code, said, growth)
        for (_, task), code, said in zip(each, codes, texts, strict=False)
    ]


def held() -> int:
    """Return the bytes of memory that are this process's own.

    Pages of files are none: a forked child begins without those of its parent and takes up what it
    touches, as the kernel likes. Where nobody tells them apart (not on Linux), the most of all.
    """
    told = memory()
    return told.get("RssAnon", told["peak"])


def most_held() -> int:
    """Return the most of its own that this process ever held at once, pages of files left out.

    The kernel keeps the peak of all pages alone; what is no file's of it is told from those of now.
    """
    told = memory()
    return max(held(), told["peak"] - told.get("RssFile", 0) - told.get("RssShmem", 0))


def memory() -> dict[str, int]:
    """Return what the system tells of this process's memory in bytes; `peak` is always there."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    cells = [line.split() for line in lines if line.endswith(" kB")]
    told = {cell[0].rstrip(":"): int(cell[1]) * 1024 for cell in cells}
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak": told.get("VmHWM", peak), **told}


def judge(outcome: Outcome, codes: tuple[int, ...] = (0, 2, 4)) -> None:
    """Assert that a command said what is wrong in one line, and did nothing else."""
    text = outcome.text
    assert outcome.code in codes, (outcome.code, text[-3000:])
    assert "Traceback" not in text, text[-3000:]
    assert "a bug in lottery" not in text, text[-3000:]
    errors = [line for line in text.split("\n") if line.startswith("lottery: ")]
    if outcome.task != ("doctor",):  # whose findings are a page
        assert len(errors) == (outcome.code != 0), text[-3000:]
    assert not [c for c in text if not c.isprintable() and c not in "\n\t"], ascii(text[-3000:])
    assert outcome.growth < GROWTH, f"{outcome.growth / 2**20:.0f} MiB"

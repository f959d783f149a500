"""Know the file that a start names by its content, in place of its path. Imports no torch."""

import contextlib
import functools
import hashlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lottery.config.identity import identity
from lottery.errors import DamagedError, DiskError, UsageError
from lottery.storage.disk import touching
from lottery.storage.files import open_plain
from lottery.storage.records import CONFIG, RUN
from lottery.storage.replicates import replicates
from lottery.storage.settings import read_config
from lottery.wording.text import near, printable

LEVEL = re.compile(r"level_0*(\d+)(?:_(\w+))?")
INSIDE = "model.safetensors"  # of a folder of the Hugging Face hub, or of ours


def with_content(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Return settings whose start says the sha256 of the file that it names, where it was null.

    One that was typed is written small. Where the file is gone it is what a run of these words
    began with, whose levels may all be there; `name` is that of the run, where the settings give
    none. Raises UsageError where there is none.
    """
    start = settings.get("start") or {}
    if isinstance(typed := start.get("sha256"), str):
        return {**settings, "start": {**start, "sha256": typed.lower()}}
    if "sha256" not in start or typed is not None or start.get("path") is None:
        return settings
    try:
        known = {digest_of(Path(str(start["path"])).expanduser())}
    except UsageError:
        known = set(begun(settings, settings["name"] or name))
        if len(known) != 1:
            there = Path(str(start["path"])).expanduser()
            refuse_run(there, Path(settings["outputs"]).expanduser())
            raise
    return {**settings, "start": {**start, "sha256": known.pop()}}


def begun(settings: dict[str, Any], name: str) -> Iterator[str]:
    """Yield the sha256 of the files with which runs of these very settings began."""
    path = settings["start"]["path"]
    for file in Path(settings["outputs"]).expanduser().glob(f"{name}/*/replicate_*/{CONFIG}"):
        with contextlib.suppress(DamagedError, DiskError):
            there = read_config(file)
            start = there.get("start") or {}
            content = start.get("sha256")
            asked = {**settings, "start": {**settings["start"], "sha256": content}}
            if content and start.get("path") == path and identity(there) == identity(asked):
                yield str(content)


def file_in(path: Path) -> Path:
    """Return the file of weights that a path names; raises UsageError where there is none."""
    if path.is_file() or (path / INSIDE).is_file():
        return path if path.is_file() else path / INSIDE
    refuse_run(path, Path("outputs"))
    if path.is_dir():
        raise UsageError(
            f"start.path: {printable(path)} has no {INSIDE}; give a file of weights, "
            "start.path=net.safetensors"
        )
    raise UsageError(
        f"start.path: {printable(path)} is not there; to go on put it back (what is there of runs "
        "that began with such a file: lottery ls start=pretrained,ticket), or give another file"
    )


def refuse_run(path: Path, outputs: Path) -> None:
    """Raise UsageError for a path that means a run, or a level of one, and no file of weights."""
    level = LEVEL.fullmatch(path.name) if (path.parent / RUN).is_file() else None
    found = [path.parent] if level else replicates(path, outputs)
    if not found:
        return
    which = f"level={level[1]}" + (f" branch={level[2]}" if level[2] else "") if level else ""
    run = shlex.quote(near(found[0]))
    raise UsageError(
        f"start.path: {printable(path)} is a {'level' if level else 'run'}, where a file of "
        f"weights is wanted; type: lottery export {run} {which or 'level=last'} as=safetensors "
        "to=net.safetensors, then start.path=net.safetensors"
    )


def digest_of(path: Path) -> str:
    """Return the sha256 of the file of weights that a path names; raises UsageError, DiskError."""
    file = file_in(path)
    with touching(file, "read"):
        about = file.stat()
        return read(file, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)


@functools.lru_cache
def read(file: Path, *_: int) -> str:
    """Return the sha256 of a file; once for a sweep, as long as it stays as it is."""
    with open_plain(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()  # type: ignore[arg-type]

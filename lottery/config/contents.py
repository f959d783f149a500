"""Know the file that a start or a model names by its content, not its path. Imports no torch."""

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
from lottery.storage.installed import place
from lottery.storage.records import CONFIG, RUN
from lottery.storage.replicates import replicates
from lottery.storage.settings import read_config
from lottery.wording.text import near, printable

LEVEL = re.compile(r"level_0*(\d+)(?:_(\w+))?")
INSIDE = "model.safetensors"  # of a folder of the Hugging Face hub, or of ours
KNOWN = {"model": "config.json", "start": INSIDE}  # what says a path and a sha256 -> its file

WANTED = {
    "start": "a file of weights, start.path=net.safetensors",
    "model": "the folder of a net as transformers saves it, model.path=FOLDER",
}
LISTED = {"start": "start=pretrained,ticket", "model": "model=bert"}
FORMS = {  # what is wanted, how a level is exported as such, its name then
    "start": ("a file of weights", "as=safetensors to=net.safetensors", "net.safetensors"),
    "model": ("the folder of a net", "as=folder to=net", "net"),
}


def with_content(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Return settings whose start and model say the sha256 of the files that they name.

    One that was typed is written small. Where the file is gone it is what a run of these words
    began with, whose levels may all be there; `name` is that of the run, where the settings give
    none. Raises UsageError where there is none.
    """
    for part in KNOWN:
        settings = with_content_of(settings, part, name)
    return settings


def with_content_of(settings: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    """Return settings of which one part says the sha256 of its file, where it was null."""
    node = settings.get(part) or {}
    if isinstance(typed := node.get("sha256"), str):
        return {**settings, part: {**node, "sha256": typed.lower()}}
    if "sha256" not in node or typed is not None or node.get("path") is None:
        return settings
    own = node["path"] != (settings.get("model") or {}).get("path")
    setting = f"{part}.path" if own else "model.path"  # the folder of a net is named there alone
    there = place(str(node["path"]), setting)
    try:
        known = {digest_of(there, part, setting)}
    except UsageError:
        known = set(begun(settings, part, settings["name"] or name))
        if len(known) != 1:
            refuse_run(there, Path(settings["outputs"]).expanduser(), part)
            raise
    return {**settings, part: {**node, "sha256": known.pop()}}


def begun(settings: dict[str, Any], part: str, name: str) -> Iterator[str]:
    """Yield the sha256 of the files with which runs of these very settings began."""
    path = settings[part]["path"]
    for file in Path(settings["outputs"]).expanduser().glob(f"{name}/*/replicate_*/{CONFIG}"):
        with contextlib.suppress(DamagedError, DiskError):
            there = read_config(file)
            node = there.get(part) or {}
            content = node.get("sha256")
            asked = {**settings, part: {**settings[part], "sha256": content}}
            if content and node.get("path") == path and identity(there) == identity(asked):
                yield str(content)


def file_in(path: Path, part: str = "start", setting: str = "") -> Path:
    """Return the file that a path names for a part; raises UsageError where there is none.

    `setting` is the one that was typed, where it is not that of the part itself.
    """
    inside, setting = KNOWN[part], setting or f"{part}.path"
    if path.is_file() or (path / inside).is_file():
        return path if path.is_file() else path / inside
    refuse_run(path, Path("outputs"), part)
    if path.is_dir() and part == "start" and (old := sorted(path.glob("*.bin"))):
        raise UsageError(
            f"{setting}: {printable(path)} has its weights in {printable(old[0].name)}, which can "
            f"run code when it is read; type: lottery import {shlex.quote(str(old[0]))} "
            f"to={shlex.quote(str(path / inside))} masks=zeros, then the same command"
        )
    if path.is_dir():
        wanted = WANTED[setting.removesuffix(".path")]
        if setting != f"{part}.path":
            wanted += ", or type start=init for weights that are drawn"
        raise UsageError(f"{setting}: {printable(path)} has no {inside}; give {wanted}")
    raise UsageError(
        f"{setting}: {printable(path)} is not there; to go on put it back (what is there of runs "
        f"that began with such a file: lottery ls {LISTED[part]}), or give another file"
    )


def refuse_run(path: Path, outputs: Path, part: str = "start") -> None:
    """Raise UsageError for a path that means a run, or a level of one, and no file of weights."""
    level = LEVEL.fullmatch(path.name) if (path.parent / RUN).is_file() else None
    found = [path.parent] if level else replicates(path, outputs)
    if not found:
        return
    which = f"level={level[1]}" + (f" branch={level[2]}" if level[2] else "") if level else ""
    run = shlex.quote(near(found[0]))
    form = FORMS[part]
    raise UsageError(
        f"{part}.path: {printable(path)} is a {'level' if level else 'run'}, where {form[0]} is "
        f"wanted; type: lottery export {run} {which or 'level=last'} {form[1]}, then "
        f"{part}.path={form[2]}"
    )


def digest_of(path: Path, part: str = "start", setting: str = "") -> str:
    """Return the sha256 of the file that a path names; raises UsageError, DiskError."""
    file = file_in(path, part, setting)
    with touching(file, "read"):
        about = file.stat()
        return read(file, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)


@functools.lru_cache
def read(file: Path, *_: int) -> str:
    """Return the sha256 of a file; once for a sweep, as long as it stays as it is."""
    with open_plain(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()  # type: ignore[arg-type]

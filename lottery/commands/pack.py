"""Make a small copy of runs for a mail: tables, configs, curves; masks or weights if asked.

usage: lottery pack [RUN...] [FILTER...] [with=masks|weights] [to=pack.zip] [outputs=DIR]

RUN and FILTER name runs as for `lottery ls`; without them all runs are packed. What comes out is
laid out as outputs/ is, in a zip, or in a folder where `to` ends in no .zip:
  unzip pack.zip -d theirs; lottery ls outputs=theirs
ls, show, compare, plot, report and verify read it. with=masks adds the mask of each level, so that
figures of masks can be drawn, with=weights all that is there, so that a level can be trained again
and exported. Nothing that is there already is replaced.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lottery.commands import one_of, selection
from lottery.errors import UsageError
from lottery.storage import disk
from lottery.storage.files import digest
from lottery.storage.packs import PACK, WITH
from lottery.storage.records import MANIFEST, RUN, now, read_manifest, read_signed
from lottery.wording.text import in_words, near, printable

KNOWN = {"with": "tables", "to": "pack.zip", "outputs": "outputs"}
OF_RUN = ("config.yaml", RUN)  # beside what the manifest vouches for
OF_LEVEL = ("curve.csv",)
MASK = "mask.safetensors"


def main(arguments: list[str]) -> int:
    """Write the pack; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    from lottery.results import choice
    from lottery.results.naming import none_there

    kept = one_of(chosen, "with", WITH, "pack")
    outputs, to = Path(chosen["outputs"]), Path(chosen["to"]).expanduser()
    folders = choice.choose(outputs, words, "pack", KNOWN)
    if not folders:
        raise UsageError(f"pack: {none_there(outputs)}")
    if os.path.lexists(to):
        raise UsageError(f"pack: {near(to)} is there already; type another to=, or remove it")
    files = dict(everything(folders, kept))
    about = {"packed": now(), "with": kept, "runs": len(folders)}
    write = zipped if to.suffix == ".zip" else unzipped
    size = write(to, files, json.dumps(about, indent=2).encode() + b"\n")
    runs = f"{len(folders)} run{'s'[len(folders) < 2 :]}"
    left = {"tables": "without masks and weights", "masks": "without weights"}.get(kept, "whole")
    print(printable(f"{near(to)}  {runs}, {len(files)} files, {in_words(size)}, {left}"))
    return 0


def everything(folders: tuple[Path, ...], kept: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of runs, of their levels and of analyses of several: path, content."""
    from lottery.results.across import findings

    for found in findings(folders):
        for path in (*map(found.file, found.words), found.path):
            yield path.relative_to(folders[0].parents[2]).as_posix(), read(path)
    shelves: dict[str, Path] = {}
    for folder in folders:
        inside = "/".join(folder.parts[-3:])
        yield from ((f"{inside}/{name}", data) for name, data in of_run(folder))
        verdicts = folder.parent / "sanity.csv"
        if verdicts.is_file():
            yield "/".join(verdicts.parts[-3:]), read(verdicts)
        for entry in read_manifest(folder)["levels"].values():
            shelves[entry["key"]] = folder.parents[2] / "store" / entry["key"]
    for key, shelf in shelves.items():
        yield from ((f"store/{key}/{name}", data) for name, data in of_level(shelf, kept))


def of_run(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a run, as its manifest vouches for them.

    The manifest is read last, since whoever writes a table puts its checksum there first.
    """
    names = [*OF_RUN, *(n for n in read_manifest(folder)["files"] if n not in OF_RUN)]
    for name in names:
        if (folder / name).is_file():
            yield name, read(folder / name)
    yield MANIFEST, read(folder / MANIFEST)


def of_level(shelf: Path, kept: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a trained level that belong into the pack; nothing of one unfinished."""
    if not (shelf / MANIFEST).is_file():
        return
    vouched = read_signed(shelf / MANIFEST)["files"]
    wanted = [*OF_LEVEL, *([MASK] if kept == "masks" else vouched if kept == "weights" else [])]
    for name in dict.fromkeys(wanted):
        if name in vouched and (shelf / name).is_file():
            data = read(shelf / name)
            if digest(data) != vouched[name]:
                raise UsageError(
                    f"pack: {near(shelf / name)} is damaged; lottery doctor says what to do"
                )
            yield name, data
    yield MANIFEST, read(shelf / MANIFEST)


def read(path: Path) -> bytes:
    """Return the content of a file; raises DiskError where it cannot be read."""
    with disk.touching(path, "read"):
        return path.read_bytes()


def zipped(to: Path, files: dict[str, bytes], about: bytes) -> int:
    """Write a zip, whole or not at all; return its size."""
    disk.make_folder(to.absolute().parent)
    temporary = disk.beside(to)
    try:
        with disk.touching(to), zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as pack:
            for name, data in [(PACK, about), *files.items()]:
                pack.writestr(name, data)
        with disk.touching(to):
            os.replace(temporary, to)
    finally:
        temporary.unlink(missing_ok=True)
    return to.stat().st_size


def unzipped(to: Path, files: dict[str, bytes], about: bytes) -> int:
    """Write a folder; return the bytes in it."""
    for name, data in [*files.items(), (PACK, about)]:
        disk.make_folder((to / name).parent)
        disk.write(to / name, data)
    return sum(map(len, files.values()))


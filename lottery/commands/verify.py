"""Check somebody's runs: files, tables, and one level that is trained again here.

usage: lottery verify [RUN...] [FILTER...] [level=last|N|none] [outputs=DIR]

RUN is a path, an id or a name, as `lottery ls` shows it; without one, every run under outputs=.
Three things are looked at, of each run:
  files   every checksum of its folder and of its levels in the store
  tables  metrics.csv, layers.csv and branches.csv are what the levels in the store say
  level   its ticket is made again from the levels before, and trained again on this machine
Bits need not be the same on another machine, with another torch or other threads: then it says
where they part and what is another here. Writes nothing into a run; a state in the middle of a
level that nobody kept is replayed, and kept in the store.

exit codes: 0 all of it is so, 1 a level came out with other bits, 2 there is no such level, or it
cannot be trained again here, 4 something is damaged or forged
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lottery.commands import selection, whole
from lottery.errors import DamagedError, LotteryError, UsageError
from lottery.storage.packs import packed
from lottery.wording.text import near, printable

KNOWN = {"level": "last", "outputs": "outputs"}
MOST = 8  # lines of one kind
OTHER_BITS, DAMAGED = 1, DamagedError.code
WORST = (DAMAGED, OTHER_BITS, UsageError.code)  # of several runs


def main(arguments: list[str]) -> int:
    """Print what was looked at and found; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    from lottery.results import choice
    from lottery.results.naming import none_there

    asked = chosen["level"]
    if asked not in ("last", "none") and whole(asked) is None:
        raise UsageError(f"verify: level={asked} is no level; type level=last, 2 or none")
    outputs = Path(chosen["outputs"])
    folders = choice.choose(outputs, words, "verify", KNOWN)
    if not folders:
        raise UsageError(f"verify: {none_there(outputs)}")
    codes = []
    for number, folder in enumerate(folders):
        print("\n" * bool(number) + printable(near(folder)))
        codes.append(verify(folder, asked))
    bad = sorted((code for code in codes if code), key=WORST.index)
    if len(folders) > 1:
        print(f"\n{len(codes) - len(bad)} of {len(codes)} runs are as they should be")
    return bad[0] if bad else 0


def verify(folder: Path, asked: str) -> int:
    """Look at one run; print a line for each thing, and return the exit code."""
    wrong = list(damaged(folder))
    tell("files", wrong, "every checksum is right")
    if wrong:
        print("  tables  not looked at, since files are damaged")
        return DAMAGED
    pack = packed(folder.parents[2])
    if pack == "tables":
        print("  tables  not made again: this pack has no masks (lottery pack with=masks)")
        return 0
    try:
        forged = list(tables(folder))
    except LotteryError as error:
        print(printable(f"  tables  cannot be made again: {error}"))
    else:
        tell("tables", forged, "they are what the levels in the store say")
        if forged:
            return DAMAGED
    if pack == "masks" and asked != "none":
        print("  level   not trained again: this pack has no weights (lottery pack with=weights)")
    if pack == "masks" or asked == "none":
        return 0
    return level(folder, asked)


def tell(what: str, wrong: list[str], right: str) -> None:
    """Print what is wrong with something, a line each, or that it is right."""
    for line in wrong[:MOST] or [right]:
        print(printable(f"  {what:<6}  {line}"))
    if len(wrong) > MOST:
        print(f"  {what:<6}  and {len(wrong) - MOST} more")


def damaged(folder: Path) -> Iterator[str]:
    """Yield what is not as it was written in a run's folder, and in its levels."""
    from lottery.commands.doctor import identity
    from lottery.upkeep import health
    from lottery.upkeep.entries import Replicate, Shelved

    run = Replicate(folder)
    findings = health.damaged_records(run, identity, fast=False)
    store = folder.parents[2] / "store"
    keys = {} if findings else run.manifest()["levels"]
    for key in dict.fromkeys(entry["key"] for entry in keys.values()):
        findings += health.damaged_level(Shelved(store / key), run.command, fast=False)
    yield from (f"{near(Path(one.where))} {one.what}" for one in findings)


def tables(folder: Path) -> Iterator[str]:
    """Yield in what a run's tables are not what its levels say."""
    import torch

    from lottery.config import build
    from lottery.experiment.open_run import open_run
    from lottery.experiment.verifying import wrong_tables
    from lottery.storage.settings import read_settings

    settings = read_settings(folder)
    settings["host"] = settings["host"] | {"progress": "none"}
    run = open_run(settings, build.parts(settings), folder, torch.device("cpu"))
    return wrong_tables(run)


def level(folder: Path, asked: str) -> int:
    """Train a level again; print what came out, and return the exit code."""
    from lottery.experiment.verifying import level_again
    from lottery.results import results

    done = len(results.metrics(folder)) - 1
    index = done if asked == "last" else int(asked)
    if not 0 <= index <= done:
        there = f"it has the levels 0 to {done}" if done >= 0 else "none is finished"
        print(f"  level   {asked} is not there; {there}")
        return UsageError.code
    try:
        said, same = level_again(folder, index)
    except UsageError as error:
        print(printable(f"  level   {index} cannot be trained again: {error}"))
        return UsageError.code
    head = "the same bits came out" if same else "other bits came out"
    print(f"  level   {index} was made and trained again here: {head}")
    for line in said:
        print(printable(f"          {line}"))
    return 0 if same else OTHER_BITS

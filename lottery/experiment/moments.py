"""Keep what a rule has seen on its way to the moment at which a level's mask is made.

That lies beside what analyses find, as analyses/RULE-KEY.csv (a row a level: the epoch, and what
it took to get there beside a whole training) and RULE_distances-KEY.csv (a row a pair of masks).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from lottery.errors import DamagedError
from lottery.experiment.chain import Chain
from lottery.experiment.cost import part, scoring, trained
from lottery.experiment.level import Level
from lottery.experiment.looking import Looked, name_of
from lottery.experiment.run import LockedRun
from lottery.storage import disk
from lottery.storage.checkpoints import set_aside
from lottery.storage.files import digest
from lottery.storage.records import ANALYSES, checked
from lottery.storage.tables import table
from lottery.terms.kept import FORMAT

PAIRS = "distances"  # what the table of pairs is called, behind the rule


def said(locked: LockedRun) -> str:
    """Return a run's rule and its settings in words."""
    rule = locked.run.parts.pruning.at
    words = (f"{key}={value}" for key, value in getattr(rule, "keywords", {}).items())
    return " ".join([name_of(rule), *words])  # type: ignore[arg-type]


def keep(locked: LockedRun, level: Level, chain: Chain) -> None:
    """Write down how the moment of a level was found, where that does not stand there.

    After a kill in between the rule looks again, at the same states.
    """
    run, rule = locked.run, locked.run.parts.pruning.at
    if isinstance(rule, str) or (level.index == 1 and run.settled.brought):
        return
    settings, key = said(locked), level.shelf.key
    made_of = {"format": FORMAT, "moment": settings, "code": run.parts.code.get("moment")}
    name, stem = name_of(rule), digest(json.dumps(made_of, sort_keys=True).encode())[:16]
    files = {word: f"{ANALYSES}/{name}{word}-{stem}.csv" for word in ("", f"_{PAIRS}")}
    there = {word: rows_of(locked, file) for word, file in files.items()}
    if all(any(row["key"] == key for row in rows) for rows in there.values()):
        return
    looked = chain.look(rule)
    density = run.settled.density(level.index)
    head = {"level": level.index, "density": density, "settings": settings}
    epoch = run.length.steps_per_epoch
    pairs = [
        {"epoch": one / epoch, "other_epoch": other / epoch, "distance": far}
        for one, other, far in looked.distances()
    ]
    new = {"": [found(level, chain, looked)], f"_{PAIRS}": pairs}
    disk.make_folder(run.folder / ANALYSES)
    for word, rows in new.items():
        every = [row for row in there[word] if int(row["level"]) != level.index]
        every += [head | row | {"key": key} for row in rows]
        every.sort(key=lambda row: int(row["level"]))
        locked.ledger.write_files({files[word]: table(every)})


def found(level: Level, chain: Chain, looked: Looked) -> dict[str, Any]:
    """Return at which epoch a rule has found its moment, and what that took beside a training."""
    run, parent = level.run, chain.parent
    span, step = parent.ticket.span, chain.moment
    whole = trained(run, parent.shelf, parent.manifest, span, parent.ticket.held)
    took = part(run, whole, step)
    for _ in looked.packed:
        took += scoring(run, whole.net, whole.pace)
    full = part(run, whole, span.stop)
    return {
        "epoch": step / run.length.steps_per_epoch,
        "found": "yes" if looked.settled else "no",
        "looks": len(looked.packed),
        "search_macs": took.macs_kept,
        "training_macs": full.macs_kept,
        "search_share": took.macs_kept / full.macs_kept,
        "search_seconds": took.seconds,
        "training_seconds": full.seconds,
    }


def rows_of(locked: LockedRun, file: str) -> Sequence[dict[str, Any]]:
    """Return the rows of a file as text; none where it is gone, or damaged and set aside."""
    try:
        data = checked(locked.run.folder, file) or b""
    except DamagedError as error:
        aside = set_aside(locked.run.folder / file)
        what = str(error).partition(";")[0]
        locked.run.watch.warn(f"{what}; it is kept as {aside.name}, and made again", "damage")
        return []
    return list(csv.DictReader(io.StringIO(data.decode())))

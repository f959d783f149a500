"""Gather many runs into tidy pandas tables: one row an observation. Imports no torch."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from lottery.errors import DamagedError, DiskError, UsageError
from lottery.looking import results
from lottery.looking.choice import choose
from lottery.looking.facts import COLUMNS, WHOSE, Facts
from lottery.storage import records
from lottery.storage.files import read_plain
from lottery.wording import printable

NUMBERS = ("density", "val_accuracy", "test_accuracy", "seconds", "left")  # of a run, or NaN


@dataclass(frozen=True)
class Runs:
    """Runs on the disk. Each table is read when it is asked for, and then kept.

    Every table begins with name, id, replicate, model, dataset, method, rewind: whose row it is.
    Densities, accuracies and overlaps are shares of 1, times are seconds, losses are means over
    examples. What is not known is NaN. A run whose table is damaged is left out of that table with
    a warning, and stands in `runs` as damaged.
    """

    folders: tuple[Path, ...]

    def __repr__(self) -> str:
        names = sorted({folder.parent.parent.name for folder in self.folders})
        shown = ", ".join(map(printable, names[:4])) + (", ..." if len(names) > 4 else "")
        return f"<Runs: {len(self.folders)} of {shown or 'nothing'}>"

    @cached_property
    def _facts(self) -> list[Facts]:
        return [Facts(folder) for folder in self.folders]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row a run: how far it came, what it reached, its state, its folder.

        levels (pruned ones that are done), levels_asked; density, val_accuracy and test_accuracy of
        the last level; state (running, done, stopped, killed, failed, damaged); started and ended
        (ISO 8601), seconds at work, left (seconds to the end, while it is running), folder.
        """
        rows = [facts.row for facts in self._facts]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(NUMBERS, float))

    @cached_property
    def levels(self) -> pd.DataFrame:
        """A row a level of a run: metrics.csv of all of them.

        level (0 is dense), density, sparsity, compression, kept, total; step and epoch at the end
        of training; loss and accuracy of train, val and test there, and best_* at the step of the
        lowest validation loss; seconds; shared (trained by another run), key (in the store).
        """
        return self._all(results.metrics)

    @cached_property
    def branches(self) -> pd.DataFrame:
        """A row a branch of a level: branches.csv of all of them.

        The columns of `levels`, and branch (its name) and settings (in words).
        """
        return self._all(results.branches)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """A row a layer of a level: layers.csv of all of them.

        level, layer, kept, total, density; effective (weights on a path from input to output),
        dead_outputs, outputs, collapsed; sign_changes, moved and moved_relative of the weights in
        training; overlap with the mask of the level before (intersection over union), by_chance.
        """
        return self._all(lambda folder: results.read_table(folder, "layers.csv"))

    @cached_property
    def overlaps(self) -> pd.DataFrame:
        """A row a level and other run of the same initial weights: overlaps.csv of all of them.

        level, density; other_run, other_id, other_level; overlap of the two masks (intersection
        over union), by_chance.
        """
        return self._all(lambda folder: results.read_table(folder, "overlaps.csv"))

    @cached_property
    def curves(self) -> pd.DataFrame:
        """A row an evaluation: curve.csv of every level and branch.

        level, branch ("" for the level itself), step, epoch, loss and accuracy of each split.
        """
        return self._all(lambda folder: joined(list(curves(folder))))

    def _all(self, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
        tables, whose = [], []
        for facts in self._facts:
            try:
                table = read(facts.folder)
            except (DamagedError, DiskError) as error:
                warnings.warn(f"{facts.folder} is left out: {error}", stacklevel=3)
                continue
            if len(table):
                tables.append(table.rename(columns={c: f"own_{c}" for c in WHOSE if c in table}))
                whose += [facts.whose] * len(table)
        if not tables:
            return pd.DataFrame(columns=list(WHOSE))
        return pd.concat([pd.DataFrame(whose), joined(tables)], axis=1)


def load(outputs: Path | str = "outputs", *words: str) -> Runs:
    """Return the runs under `outputs` that the words name; all of them without a word.

    A word is a run (name, start of an id, path) or a filter, as for `lottery ls`:
    load("outputs", "prune=imp,random", "state=done"). Raises UsageError where there is no such
    folder, and for words that name nothing.
    """
    folder = Path(outputs).expanduser()
    if not folder.is_dir():
        raise UsageError(f"load: there is no folder {folder}")
    return Runs(choose(folder, words, "load"))


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables one below the other; empty ones leave no trace."""
    some = [table for table in tables if len(table)]
    return pd.concat(some, ignore_index=True) if some else pd.DataFrame()


def curves(folder: Path) -> Iterator[pd.DataFrame]:
    """Yield the curve of every level and branch of a run, with both in front."""
    for place, entry in records.levels(folder).items():
        match = records.PLACE.fullmatch(place)
        text = level_file(folder.parents[2], entry["key"], "curve.csv")
        if match and text:
            table = pd.read_csv(io.BytesIO(text))
            table.insert(0, "level", int(match[1]))
            table.insert(1, "branch", match[2] or "")
            yield table


def level_file(outputs: Path, key: str, name: str) -> bytes | None:
    """Return a file of a trained level as its manifest vouches for it; None for no such level.

    Raises DamagedError for a file that is not as it was written.
    """
    shelf = outputs / "store" / key
    try:
        manifest = records.read_signed(shelf / records.MANIFEST)
        data = read_plain(shelf / name)
    except FileNotFoundError:
        return None
    if records.digest(data) != manifest.get("files", {}).get(name):
        raise DamagedError(f"{shelf / name} is damaged (its checksum is wrong)")
    return data

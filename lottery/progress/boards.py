"""Say what a board is: a place outside of outputs/ where people watch the numbers of runs.

A logger, lottery/components/loggers/NAME.py, is `NAME(about, *, ...) -> Board`. It imports its
package there and then, so that one that is not installed is known before anything is trained, and
opens nothing before the first row.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lottery.errors import UsageError

SHORT = 4  # letters of an id


@dataclass(frozen=True)
class About:
    """Whose numbers a board shows."""

    folder: Path  # outputs/NAME/ID/replicate_K, absolute
    settings: Mapping[str, Any]  # those that decide the numbers, with dotted names

    @property
    def name(self) -> str:
        return self.folder.parents[1].name

    @property
    def identity(self) -> str:
        """Run id and replicate, which no other run has."""
        return f"{self.folder.parent.name}_{self.folder.name}"

    @property
    def label(self) -> str:
        """A short name for a list of runs: the start of the id and the replicate, 4f3a/0."""
        return f"{self.group[:SHORT]}/{self.folder.name.removeprefix('replicate_')}"

    @property
    def group(self) -> str:
        """The run id, which the replicates of a config share."""
        return self.folder.parent.name

    def place(self, asked: str | None, kind: str) -> Path:
        """Return the absolute folder of a board: as asked, else outputs/boards/KIND."""
        own = self.folder.parents[2] / "boards" / kind
        return own if asked is None else Path(asked).expanduser().absolute()


class Board(Protocol):
    """A board that is open for one run."""

    @property
    def layers(self) -> bool:
        """Whether it wants the rows of layers.csv, which are many."""

    def write(self, table: str, x: int, row: Mapping[str, float]) -> None:
        """Show a row of a table; `row` has a number for some of its CSV file's columns.

        Tables are level_02 (its curve.csv; x is the step within the level), level_02_shuffle (that
        of a branch), metrics, branches/NAME and layers/NAME (x is the level). The rows of a table
        come in order, and from their first one on in each process; a board that holds them from
        before shows each of them once. May raise anything: then the run goes on without the board.
        """

    def close(self) -> None:
        """Write what is still to be written."""


def missing(extra: str, error: ImportError) -> UsageError:
    """Return the line for a package that a logger needs and that cannot be imported."""
    why = "is not installed" if isinstance(error, ModuleNotFoundError) else f"fails: {error}"
    return UsageError(
        f"log: {extra} {why}; type: pip install 'lottery[{extra}]' (or leave it out of log=)"
    )


def numbers(row: Mapping[Any, Any]) -> dict[str, float]:
    """Return the columns of a row that hold a finite number; True is 1."""
    found = {}
    for column, value in row.items():
        try:
            number = float(value) if not isinstance(value, str) else math.nan
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            found[str(column)] = number
    return found

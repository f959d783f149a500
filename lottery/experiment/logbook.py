"""Keep the boards that a run is logged to; none of them ever costs the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lottery.config import blame
from lottery.config.bind import bind
from lottery.config.identity import flat, identity
from lottery.progress.boards import About, Board, numbers
from lottery.results import results
from lottery.results.facts import WHOSE
from lottery.results.tidy import Runs
from lottery.storage import records
from lottery.wording.text import private


class Logbook:
    """Tell boards every row of a run's tables, once a process; one that fails is left out."""

    def __init__(
        self, folder: Path, boards: Mapping[str, Board], warn: Callable[[str], None]
    ) -> None:
        self.folder, self.boards, self.warn = folder, dict(boards), warn
        self.sent: dict[str, int] = {}  # table -> x of its newest row

    def curve(self, level: int, branch: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show the new rows of a level's curve."""
        for row in rows:
            self.show(records.place(level, branch), "step", row)

    def tables(self) -> None:
        """Show the new rows of the run's tables, and the curves that were there already."""
        if self.boards:
            try:
                self.read()
            except Exception as error:  # noqa: BLE001 (who reads anew says what is damaged)
                self.boards.clear()
                self.warn(f"log: the run's tables cannot be read, so nothing is logged ({error})")

    def read(self) -> None:
        """Read the run's tables, and show what is new in them."""
        if not records.levels(self.folder).keys() <= self.sent.keys():  # some were not trained here
            curves: Any = Runs((self.folder,)).curves
            own = curves.drop(columns=[*WHOSE])
            for (level, branch), rows in own.groupby(["level", "branch"], sort=False):
                found: Any = rows.drop(columns=["level", "branch"]).to_dict("records")
                self.curve(int(level), str(branch), found)
        tables = {
            "metrics": results.metrics(self.folder),
            "branches": results.branches(self.folder),
            "layers": results.read_table(self.folder, "layers.csv"),
        }
        for name, table in tables.items():
            for row in table.to_dict("records"):
                which = row.get({"branches": "branch", "layers": "layer"}.get(name, ""))
                self.show(f"{name}/{which}" if which else name, "level", row)

    def show(self, table: str, axis: str, row: Mapping[Any, Any]) -> None:
        """Show a row on every board, unless this process has shown it."""
        x = int(row[axis])
        if x <= self.sent.get(table, -1):
            return
        self.sent[table] = x
        told = {column: value for column, value in numbers(row).items() if column != axis}
        for name, board in list(self.boards.items()):
            if board.layers or not table.startswith("layers/"):
                self.keep(name, lambda board=board: board.write(table, x, told))  # type: ignore[misc]

    def keep(self, name: str, do: Callable[[], None]) -> None:
        """Let a board do something; where it fails, warn once and leave it out from then on."""
        try:
            do()
        except Exception as error:  # noqa: BLE001 (a network or a disk that is away, of any package)
            self.boards.pop(name, None)
            why = " ".join(str(error).split())[:300] or type(error).__name__
            why = f"{where}: {why}" if (where := blame.whence(error)) else why
            self.warn(f"log: {name} has failed and is left out from here on ({why})")

    def close(self) -> None:
        """Close the boards."""
        for name, board in list(self.boards.items()):
            self.keep(name, board.close)


def boards_of(settings: dict[str, Any], folder: Path) -> dict[str, Board]:
    """Return the boards that a run is logged to, by name; nothing is opened yet.

    Raises UsageError for a wrong name or setting, and where a package is not installed.
    """
    nodes = settings.get("loggers", {})  # which a config of an earlier version has not
    bound = {name: bind("log", node, f"loggers.{name}") for name, node in nodes.items()}
    about = About(folder, private(flat(identity(settings))))
    return {name: logger(about) for name, logger in bound.items()}

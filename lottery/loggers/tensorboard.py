"""Show runs in TensorBoard: tensorboard --logdir outputs/boards/tensorboard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lottery.watching.boards import About, Board, missing


def tensorboard(about: About, *, dir: str | None, layers: bool) -> Board:
    """Write event files, a folder a table: DIR/NAME/ID/replicate_K/level_02.

    A table that is written again, since the run was resumed, hides what it held before.
    """
    try:
        import tensorboard  # type: ignore[import-untyped]  # noqa: F401 (what torch's writer needs)
    except ImportError as error:
        raise missing("tensorboard", error) from error
    root = about.place(dir, "tensorboard")
    return EventFiles(root.joinpath(*about.folder.parts[-3:]), layers)


class EventFiles:
    """The event files of one run."""

    def __init__(self, folder: Path, layers: bool) -> None:
        self.folder, self.layers = folder, layers
        self.writers: dict[str, Any] = {}
        self.begun: set[str] = set()

    def write(self, table: str, x: int, row: Mapping[str, float]) -> None:
        """Add a row, a tag a column, and have it on the disk."""
        writer = self.writer(table, x)
        for column, value in row.items():
            writer.add_scalar(column, value, x)
        writer.flush()

    def writer(self, table: str, x: int) -> Any:
        """Return the writer of a table; curves come one after the other, so one of them is open."""
        if table not in self.writers:
            from torch.utils.tensorboard import SummaryWriter

            for other in [name for name in self.writers if name.startswith("level_")]:
                self.writers.pop(other).close()
            purge = None if table in self.begun else x
            self.writers[table] = SummaryWriter(str(self.folder / table), purge_step=purge)
            self.begun.add(table)
        return self.writers[table]

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()

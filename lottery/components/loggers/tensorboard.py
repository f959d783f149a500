"""Show runs in TensorBoard: tensorboard --logdir outputs/boards/tensorboard."""

import io
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lottery.progress.boards import About, Board, missing
from lottery.storage.records import hostname


def tensorboard(about: About, *, dir: str | None, layers: bool) -> Board:
    """Write event files, a folder a table: DIR/NAME/ID/replicate_K/level_02.

    A table that is written again, since the run was resumed, hides what it held before. The HPARAMS
    page has a line a config, called by its id: the replicates of one are a group.
    """
    try:
        import tensorboard  # type: ignore[import-untyped]  # noqa: F401 (its records are written)
    except ImportError as error:
        raise missing("tensorboard", error) from error
    root = about.place(dir, "tensorboard")
    return EventFiles(root.joinpath(*about.folder.parts[-3:]), layers, about)


class EventFiles:
    """The event files of one run: a row is on its way to the disk when `write` returns.

    TensorBoard's own writer leaves that to a thread, whose errors end on stderr.
    """

    def __init__(self, folder: Path, layers: bool, about: About) -> None:
        self.folder, self.layers, self.about = folder, layers, about
        self.files: dict[str, Path] = {}  # by table, of this process

    def write(self, table: str, x: int, row: Mapping[str, float]) -> None:
        """Add a row, a tag a column."""
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

        values = [Summary.Value(tag=column, simple_value=value) for column, value in row.items()]
        if not self.files:
            self.add("", [*beginning(0), {"summary": Summary(value=[session(self.about)])}])
        again = table in self.files
        point = {"step": x, "summary": Summary(value=values)}
        self.add(table, [point] if again else [*beginning(x), point])

    def add(self, table: str, events: list[dict[str, Any]]) -> None:
        """Add events to the file of a table; those of "" are about the run."""
        if table not in self.files:
            name = f"events.out.tfevents.{time.time():.0f}.{hostname()}.{os.getpid()}"
            (self.folder / table).mkdir(parents=True, exist_ok=True)
            self.files[table] = self.folder / table / name
        with open(self.files[table], "ab") as file:
            file.write(records(events))

    def close(self) -> None:
        """No file is open between two rows."""


def beginning(x: int) -> list[dict[str, Any]]:
    """Return the events that begin a file, and hide what others hold from row `x` on."""
    from tensorboard.compat.proto.event_pb2 import SessionLog  # type: ignore[import-untyped]

    return [
        {"file_version": "brain.Event:2"},
        {"step": x, "session_log": SessionLog(status=SessionLog.START)},
    ]


def session(about: About) -> Any:
    """Return what the HPARAMS page reads of a run: its settings, and the group of its replicates.

    TensorBoard's own helper for it needs TensorFlow.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata  # type: ignore[import-untyped]
    from tensorboard.plugins.hparams.plugin_data_pb2 import (  # type: ignore[import-untyped]
        HParamsPluginData,
        SessionStartInfo,
    )

    said = SessionStartInfo(group_name=about.group, start_time_secs=time.time())
    for key, value in about.settings.items():
        if isinstance(value, bool):
            said.hparams[key].bool_value = value
        elif isinstance(value, int | float):
            said.hparams[key].number_value = value
        else:
            said.hparams[key].string_value = str(value)
    data = metadata.create_summary_metadata(HParamsPluginData(session_start_info=said))
    tag, nothing = metadata.SESSION_START_INFO_TAG, metadata.NULL_TENSOR
    return Summary.Value(tag=tag, metadata=data, tensor=nothing)


def records(events: list[dict[str, Any]]) -> bytes:
    """Return events as they stand in a file, each with its checksum."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import (  # type: ignore[import-untyped]
        RecordWriter,
    )

    out = io.BytesIO()
    for event in events:
        RecordWriter(out).write(Event(wall_time=time.time(), **event).SerializeToString())
    return out.getvalue()

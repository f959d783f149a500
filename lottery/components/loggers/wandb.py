"""Show runs in Weights & Biases, online or offline."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lottery.errors import UsageError
from lottery.progress.boards import About, Board, missing

MODES = ("online", "offline")


def wandb(
    about: About, *, project: str, mode: str, entity: str | None, dir: str | None, layers: bool
) -> Board:
    """Keep one W&B run a replicate, called NAME, with the id ID_replicate_K; resumed by that id.

    Columns are level_02/val_METRIC over level_02/step, metrics/test_METRIC over metrics/level.
    What was shown is noted in DIR, so that each row is sent once, however often a run is resumed;
    offline, each start leaves a folder of its own: `wandb sync` joins them.
    """
    if mode not in MODES:
        raise UsageError(f"log: wandb has no mode '{mode}' (there are: {', '.join(MODES)})")
    try:
        import wandb as client
    except ImportError as error:
        raise missing("wandb", error) from error
    mode = "offline" if os.environ.get("WANDB_MODE") == "offline" else mode
    how = {"project": project, "entity": entity, "mode": mode}
    return Run(client, about, about.place(dir, "wandb"), how, layers)


class Run:
    """One run of W&B, begun at the first row."""

    def __init__(
        self, client: Any, about: About, folder: Path, how: dict[str, Any], layers: bool
    ) -> None:
        self.client, self.about, self.folder, self.how = client, about, folder, how
        self.layers = layers
        self.run: Any = None
        self.defined: set[str] = set()
        self.notes = folder / f"sent_{about.identity}.json"
        self.sent: dict[str, int] = {}  # table -> x of its newest row

    def write(self, table: str, x: int, row: Mapping[str, float]) -> None:
        """Send a row, unless it was sent by an earlier process."""
        if self.run is None:
            self.begin()
        if x <= self.sent.get(table, -1):
            return
        axis = f"{table}/{'step' if table.startswith('level_') else 'level'}"
        if table not in self.defined:
            self.run.define_metric(axis, hidden=True)
            self.run.define_metric(f"{table}/*", step_metric=axis)
            self.defined.add(table)
        self.run.log({axis: x} | {f"{table}/{column}": value for column, value in row.items()})
        self.sent[table] = x
        new = self.notes.with_suffix(".new")
        new.write_text(json.dumps(self.sent))
        new.replace(self.notes)

    def begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.notes.exists():
            self.sent = json.loads(self.notes.read_text())
        mine = f"*-%Y%m%d_%H%M%S-{self.about.identity}"  # its folder, called by the second
        while any(self.folder.joinpath("wandb").glob(time.strftime(mine))):
            time.sleep(0.1)  # else it would be written over
        self.run = self.client.init(
            id=self.about.identity,
            name=f"{self.about.name} {self.about.label}",
            group=self.about.group,
            config=dict(self.about.settings),
            dir=str(self.folder),
            resume="allow" if self.how["mode"] == "online" else None,
            settings=self.client.Settings(console="off", silent=True),
            **self.how,
        )

    def close(self) -> None:
        if self.run is not None:
            self.run.finish()

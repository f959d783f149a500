"""Make a run that lies on the disk ready to train again, as it was trained."""

from pathlib import Path

import torch

from lottery.config import build
from lottery.errors import UsageError
from lottery.experiment.differences import Kept
from lottery.experiment.level import Level
from lottery.experiment.levels import current, key_of
from lottery.experiment.open_run import open_run
from lottery.experiment.run import Run
from lottery.machine.devices import pick_device
from lottery.machine.environment import set_up
from lottery.storage import records
from lottery.storage.records import place
from lottery.storage.settings import read_settings
from lottery.terms.kept import index_among
from lottery.wording.text import printable


def reopen(folder: Path, kept: Kept) -> tuple[Run, int]:
    """Return a run from its folder, and the CPU threads that a level of it was trained with.

    On the device that trained the level, where there is one here. Raises UsageError unless the
    level's training follows from the run's config and data as they are now.
    """
    made = kept.shelf.manifest()["environment"]
    set_up(None, bool(made["deterministic"]))
    settings = read_settings(folder)
    parts = build.parts(settings)
    try:
        device = pick_device(made["device"])
    except UsageError:
        device = pick_device("auto")
    run = open_run(settings, parts, folder, device)
    if key_of(run, kept.ticket) != kept.shelf.key:
        raise UsageError(
            f"{kept.shelf.path} does not follow from {folder}/config.yaml with the data that are "
            "here now; restore the data set, or leave out replay=true"
        )
    return run, made["threads"]


def finished(folder: Path, index: int, branch: str, asked_by: str) -> Level:
    """Return a trained level of a run, or a branch of it, opened on the CPU; index -1 is the last.

    `asked_by` is the command that the error names. Raises UsageError where there is no such level.
    """
    entries = records.levels(folder)
    index = index_among(entries, index, branch, f"{asked_by}: {printable(folder)}")
    settings = read_settings(folder)
    parts = build.parts(settings)
    run = open_run(settings, parts, folder, torch.device("cpu"))
    shelf = current(run.outputs, entries[place(index, branch)])
    if shelf is None:
        raise UsageError(
            f"{asked_by}: level {index} of {printable(folder)} is not whole in the store, or of "
            "another version; type the run's command again"
        )
    return Level(run, index, shelf)

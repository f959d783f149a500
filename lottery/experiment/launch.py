"""Run one bound config on this machine, from its data to the closing table."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from typing import Any

from lottery.config.identity import run_folder
from lottery.experiment.analyses import run_analyses
from lottery.experiment.checks import validate
from lottery.experiment.life import life
from lottery.experiment.logbook import boards_of
from lottery.experiment.loop import run_levels
from lottery.experiment.open_run import open_run
from lottery.experiment.space import check_space
from lottery.machine import signals
from lottery.machine.devices import pick_device
from lottery.machine.environment import explaining, set_up
from lottery.progress.bars import Progress
from lottery.progress.sweep import Ran, Sweep
from lottery.storage.warned import warned
from lottery.terms.parts import Parts


def launch(
    settings: dict[str, Any],
    parts: Parts,
    name: str,
    command: str,
    choices: dict[str, str] | None = None,
    follow: bool = False,
    sweep: Sweep | None = None,
) -> Ran:
    """Run one bound config from data to closing table.

    `choices` are the options it was composed of, by which people know it (model=resnet20);
    `follow` is for what is added to a finished run: its own command and state stay on record;
    `sweep` is the sweep that this is a job of.
    """
    clock = time.monotonic()
    signals.install(command)
    set_up(settings["host"]["threads"], settings["host"]["deterministic"])
    folder = run_folder(settings, name)
    boards = boards_of(settings, folder)
    with explaining():
        run = open_run(settings, parts, folder, pick_device(settings["host"]["device"]), sweep)
    with noted(run.watch), explaining():
        validate(run)
        check_space(run)
        with life(run, settings, command, choices or {}, follow, boards) as locked:
            run_levels(locked)
            run_analyses(locked)
    return Ran(folder, locked.counts, time.monotonic() - clock)


@contextlib.contextmanager
def noted(watch: Progress) -> Iterator[None]:
    """Keep what Python's own warnings say among those of the run."""
    before = warnings.showwarning

    def show(message: Warning | str, *given: Any, **more: Any) -> None:
        watch.warnings.append(warned(message))
        before(message, *given, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before

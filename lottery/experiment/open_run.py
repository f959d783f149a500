"""Open a run: its data on a device, its place on the disk."""

import inspect
from pathlib import Path
from typing import Any

import torch

from lottery.errors import UsageError
from lottery.experiment.ending import bounded
from lottery.experiment.run import Run
from lottery.nets.taking import takes_channels_last
from lottery.progress.bars import Progress
from lottery.progress.sweep import Sweep
from lottery.storage.records import whose
from lottery.terms.parts import Parts, Recipe
from lottery.terms.task import Task
from lottery.terms.task_checks import check_prepared, check_task
from lottery.training.start import build
from lottery.wording.text import expanded


def open_run(
    settings: dict[str, Any],
    parts: Parts,
    folder: Path,
    device: torch.device,
    sweep: Sweep | None = None,
) -> Run:
    """Return the run of a bound config in its folder; reads the data, writes nothing.

    To be looked at: `life` locks it for who trains.
    """
    data = parts.dataset(expanded(settings["data"]))
    check_task(data, settings["dataset"]["name"])
    last = channels_last(parts.recipe, device)
    falls_back = last and parts.recipe.channels_last == "auto" and not takes_last(parts, data)
    of_recipe = {
        "label_smoothing": parts.recipe.label_smoothing,
        "channels_last": last and not falls_back,
    }
    task = prepared(data, parts.recipe.batch_size, device, of_recipe)
    check_prepared(task, settings["dataset"]["name"])
    run = Run(
        parts=parts,
        task=task,
        outputs=folder.parents[2],
        folder=folder,
        identity=whose(folder),
        checkpoint_every=settings["checkpoint_every"],
        watch=Progress(settings["host"]["progress"], parts.levels, sweep),
        strict=settings["strict"],
    )
    if falls_back:
        run.watch.say("train.channels_last=auto: this net takes no channels-last; it goes without")
    return bounded(run) if parts.until and settings["levels"] is None else run


def prepared(data: Task, batch_size: int, device: torch.device, of_recipe: dict[str, Any]) -> Task:
    """Return a task on a device, in batches, with what it takes of the recipe's words for it.

    Raises UsageError for smoothed labels where it has none to smooth.
    """
    takes = inspect.signature(data.prepare).parameters
    if of_recipe.get("label_smoothing") and "label_smoothing" not in takes:
        raise UsageError(
            f"train.label_smoothing={of_recipe['label_smoothing']:g}: this dataset has no labels "
            "to smooth; type train.label_smoothing=0"
        )
    given = {name: value for name, value in of_recipe.items() if name in takes}
    return data.prepare(batch_size=batch_size, device=device, **given)


def takes_last(parts: Parts, task: Task) -> bool:
    """Say whether a run's net takes channels-last."""
    return takes_channels_last(build(parts, task), task)


def channels_last(recipe: Recipe, device: torch.device) -> bool:
    """Say whether images and convolutions go channels-last.

    By default where it is faster: on the CPU (measured: ResNet-20 gains 10 to 15 %), and on CUDA
    for bf16, whose tensor cores want it.
    """
    if recipe.channels_last == "auto":
        return device.type == "cpu" or (device.type == "cuda" and recipe.precision == "bf16")
    return recipe.channels_last == "yes"

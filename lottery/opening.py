"""Open a run: its data on a device, its place on the disk."""

from pathlib import Path
from typing import Any

import torch

from lottery.errors import UsageError
from lottery.loop import build
from lottery.nets.taking import takes_channels_last
from lottery.parts import Parts, Recipe
from lottery.runs import Run
from lottery.storage.ledger import Ledger
from lottery.storage.records import whose
from lottery.task import Task
from lottery.watching.progress import Progress
from lottery.watching.sweep import Sweep
from lottery.wording import expanded


def open_run(
    settings: dict[str, Any],
    parts: Parts,
    folder: Path,
    device: torch.device,
    sweep: Sweep | None = None,
) -> Run:
    """Return the run of a bound config in its folder; reads the data, writes nothing."""
    data = parts.dataset(expanded(settings["data"]))
    last = channels_last(parts.recipe, device)
    falls_back = last and parts.recipe.channels_last == "auto" and not takes_last(parts, data)
    task = data.prepare(
        batch_size=parts.recipe.batch_size,
        device=device,
        label_smoothing=parts.recipe.label_smoothing,
        channels_last=last and not falls_back,
    )
    run = Run(
        parts=parts,
        task=task,
        outputs=folder.parents[2],
        folder=folder,
        identity=whose(folder),
        checkpoint_every=settings["checkpoint_every"],
        watch=Progress(settings["host"]["progress"], parts.levels, sweep),
        ledger=Ledger(folder),
        strict=settings["strict"],
    )
    if falls_back:
        run.watch.say("train.channels_last=auto: this net takes no channels-last; it goes without")
    return run


def takes_last(parts: Parts, task: Task) -> bool:
    """Say whether a run's net takes channels-last."""
    return takes_channels_last(build(parts, task), task)


def pick_device(name: str) -> torch.device:
    """Return the device that `name` asks for; raises UsageError where it is not to be had."""
    if name == "auto":
        name = (
            "cuda"
            if torch.cuda.is_available()
            else ("mps" if torch.backends.mps.is_available() else "cpu")
        )
    try:
        device = torch.device(name)
        float(torch.zeros(1, device=device))  # "meta" makes tensors that hold nothing
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"host.device: '{name}' cannot be used here "
            f"({str(error).splitlines()[0]}); write auto or cpu"
        ) from error
    return device


def channels_last(recipe: Recipe, device: torch.device) -> bool:
    """Say whether images and convolutions go channels-last.

    By default where it is faster: on the CPU (measured: ResNet-20 gains 10 to 15 %), and on CUDA
    for bf16, whose tensor cores want it.
    """
    if recipe.channels_last == "auto":
        return device.type == "cpu" or (device.type == "cuda" and recipe.precision == "bf16")
    return recipe.channels_last == "yes"

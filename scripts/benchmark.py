"""Measure our loop over steps against a minimal loop written by hand, as a ratio.

    python scripts/benchmark.py [ROUNDS]

Same net, same batch, same thread count, pixels made on the spot in the shapes of MNIST and
CIFAR-10. Ours is all that `lottery run` does in a step at a density of 20 %: masks, counted
randomness, learning rate, and for CIFAR crop and flip. Theirs indexes tensors that were normalised
beforehand, does not augment and knows no masks. The two take turns; the median of the ratios is
quoted. Writes benchmarks/speed.md. Run it on an idle machine.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from lottery.config import build, schema
from lottery.experiment.open_run import channels_last
from lottery.machine.environment import set_up
from lottery.tasks.images.images import image_task
from lottery.tasks.images.splits import Images
from lottery.terms import mask as masks
from lottery.terms.parts import Parts
from lottery.terms.step import Span
from lottery.terms.ticket import Ticket
from lottery.training import loop, start
from lottery.training.start import prepare

DENSITY = 0.2
CASES = {  # name -> model yaml, recipe, shape, examples, augmentation, steps a turn
    "LeNet-300-100, MNIST shape, batch 60": ("lenet_300_100", "mnist", (1, 28, 28), 55_000, {}, 600),
    "ResNet-20, CIFAR-10 shape, batch 128": (
        "resnet20", "cifar10", (3, 32, 32), 10_000, {"crop": 4, "flip": True}, 6),
}  # fmt: skip


def main(rounds: int) -> None:
    """Measure every case and write the table."""
    set_up(None, deterministic=False)
    threads = torch.get_num_threads()
    lines = ["| case | threads | ours, examples/s | by hand, examples/s | ratio (min-max) |",
             "|---|---|---|---|---|"]  # fmt: skip
    for name, case in CASES.items():
        ours, theirs, batch = setting(*case)
        for turn in (ours, theirs):
            turn()
        speeds = [(batch / clock(ours), batch / clock(theirs)) for _ in range(rounds)]
        ratios = [a / b for a, b in speeds]
        mine, hand = (statistics.median(column) for column in zip(*speeds, strict=True))
        lines.append(f"| {name} | {threads} | {mine:,.0f} | {hand:,.0f} | "
                     f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |")  # fmt: skip
        print(lines[-1], flush=True)
    Path("benchmarks").mkdir(exist_ok=True)
    Path("benchmarks/speed.md").write_text(head(rounds) + "\n".join(lines) + "\n")


def setting(
    model: str, recipe: str, shape: tuple[int, ...], examples: int, augment: dict[str, Any], steps: int
) -> tuple[Any, Any, int]:
    """Return one turn of ours, one of theirs, and the examples in a turn."""
    parts, settings = bound(model, recipe)
    options = {"validation": 0, "split_seed": 0, "subsample": 0, "label_noise": 0.0, "crop": 0,
               "flip": False, "cutout": 0, "mean": [0.5] * shape[0], "std": [0.25] * shape[0]}  # fmt: skip
    pixels = torch.randint(0, 256, (examples, *shape), dtype=torch.uint8)
    images = Images(pixels, torch.randint(0, 10, (examples,)))
    cpu = torch.device("cpu")
    task = image_task(images, images.pick(torch.arange(100)), "noise", 10, options | augment)  # type: ignore[arg-type]
    task = task.prepare(batch_size=parts.recipe.batch_size, device=cpu,
                        channels_last=channels_last(parts.recipe, cpu))  # fmt: skip
    ours, theirs = our_loop(parts, task), hand_loop(parts, task, settings)
    batch = parts.recipe.batch_size * steps
    return partial(take, ours, steps), partial(take, theirs, steps), batch


def bound(model: str, recipe: str) -> tuple[Parts, dict[str, Any]]:
    """Return the parts of a run, and its optimizer's settings, from the yaml files."""
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="skeleton", node=schema.Config)
    with initialize_config_dir(str(build.conf_dir()), version_base="1.3"):
        settings = build.plain(compose("run", [f"train={recipe}", f"model={model}"]))
    return build.parts(settings), settings["train"]["optimizer"]


def our_loop(parts: Parts, task: Any) -> Iterator[int]:
    """Yield after each step of the product's loop."""
    model = start.build(parts, task)
    mask = {n: torch.rand(m.shape) < DENSITY for n, m in masks.dense(model).items()}
    ticket = Ticket(dict(model.state_dict()), mask, Span(0, 10**9))
    return loop.steps(prepare(parts, task, ticket, seed=0), 10**9)


def hand_loop(parts: Parts, task: Any, settings: dict[str, Any]) -> Iterator[int]:
    """Yield after each step of a loop that anybody would write."""
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[settings["name"]]
    own = {k: v for k, v in settings.items() if k not in ("name", "groups")}
    model = start.build(parts, task)
    optimizer = kind(model.parameters(), **own)
    labels = task.splits["train"].labels
    pixels = task.splits["train"].pixels.float().div(255).sub(0.5).div(0.25)
    step = 0
    model.train()
    while True:
        order = torch.randperm(len(labels))
        for index in order.split(parts.recipe.batch_size)[:-1]:
            optimizer.zero_grad()
            F.cross_entropy(model(pixels[index]), labels[index]).backward()
            optimizer.step()
            step += 1
            yield step


def take(loop: Iterator[int], steps: int) -> None:
    for _ in range(steps):
        next(loop)


def clock(turn: Any) -> float:
    """Return the seconds of one turn."""
    begun = time.perf_counter()
    turn()
    return time.perf_counter() - begun


def head(rounds: int) -> str:
    """Return the machine, the command and the date."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else ():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
    day = datetime.now(UTC).date().isoformat()
    return (f"# Speed of the loop over steps\n\n`python scripts/benchmark.py {rounds}`, {day}, "
            f"{cpu}, {os.cpu_count()} cores, torch {torch.__version__}, load average at the end "
            f"{os.getloadavg()[0]:.1f}.\nMedian of {rounds} turns each.\n\n")  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 7)

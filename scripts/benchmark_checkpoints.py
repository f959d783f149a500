"""Measure what checkpoints within a level cost, as a share of training time.

    python scripts/benchmark_checkpoints.py [ROUNDS]

Three nets on synthetic pixels train in turns of equal steps: one turn without checkpoints, one with,
in changing order. A checkpoint costs the time for which the loop over steps is held up (copies, and
the wait for the one before), and what the steps lose while a thread packs, hashes, writes and syncs
it. Both are in the difference between the two turns, whose median over the rounds counts; a turn
ends when its last checkpoint is on the disk. The share is that of one checkpoint in 60 seconds, the
default of checkpoint_every. Writes benchmarks/checkpoints.md; exits 1 where a share is 2 % or more.
Run it on an idle machine, in a folder on the disk that is meant.
"""

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lottery.config import build as config
from lottery.config import schema
from lottery.experiment.open_run import channels_last
from lottery.machine.environment import set_up
from lottery.storage.checkpoints import Checkpoints
from lottery.terms import mask as masks
from lottery.terms.parts import Parts
from lottery.terms.step import Span
from lottery.terms.task import Task
from lottery.terms.ticket import Ticket
from lottery.training.loop import Training, steps
from lottery.training.resume import checkpoint
from lottery.training.start import build, prepare

DENSITY = 0.2
INTERVAL = 60.0  # seconds, the default of checkpoint_every
LIMIT = 0.02
TURN = 2.0  # seconds at least
PIXELS = ["dataset=synthetic", "dataset.examples=1200", "dataset.test_examples=100"]
GREY = ["dataset.channels=1", "dataset.mean=[0.5]", "dataset.std=[0.25]"]
CASES = {
    "LeNet-300-100, 28 x 28, batch 60, Adam": [
        *PIXELS, *GREY, "dataset.size=28", "model=lenet_300_100", "train=mnist"],
    "ResNet-20, 32 x 32, batch 128, SGD with momentum": [
        *PIXELS, "dataset.size=32", "model=resnet20", "train=cifar10"],
    "ResNet-50 (torchvision), 64 x 64, batch 8, SGD with momentum": [
        *PIXELS, "dataset.size=64", "model=torchvision", "train=imagenet", "train.batch_size=8"],
}  # fmt: skip


class Timed(Checkpoints):
    """Checkpoints that count what their thread takes, in seconds of a processor."""

    spent = 0.0

    def _work(self, *words: Any) -> None:
        begun = time.thread_time()
        super()._work(*words)
        self.spent += time.thread_time() - begun


class Turn(NamedTuple):
    """What one turn took, in seconds."""

    whole: float
    held: list[float]  # of each checkpoint, the loop over steps


def main(rounds: int) -> int:
    """Measure every case and write the table; return the exit code."""
    set_up(None, False)
    lines = [
        "| case | checkpoint, MB | step, ms | held up, ms | its thread, ms | lost, ms (least to most) "
        "| share of 60 s | at most |",
        "|---|---|---|---|---|---|---|---|",
    ]
    shares = []
    for name, overrides in CASES.items():
        with tempfile.TemporaryDirectory(prefix="checkpoints-", dir=Path.cwd()) as folder:
            line, share = measure(name, overrides, rounds, Path(folder))
        lines.append(line)
        shares.append(share)
        print(line, flush=True)
    Path("benchmarks").mkdir(exist_ok=True)
    Path("benchmarks/checkpoints.md").write_text(head(rounds) + "\n".join(lines) + "\n")
    return int(max(shares) >= LIMIT)


def measure(name: str, overrides: list[str], rounds: int, folder: Path) -> tuple[str, float]:
    """Return a case's line of the table, and the share of a checkpoint in the interval."""
    parts, task = bound(overrides)
    training = prepare(parts, task, ticket_of(parts, task), seed=0)
    loop = steps(training, 10**9)
    kept = Timed(folder)
    length, number = plan(training, loop, kept)
    size = kept.paths()[0].stat().st_size / 1e6
    kept.spent = 0.0
    without, lost, held = [], [], []
    for pair in range(rounds):
        took: dict[int, Turn] = {}
        for checkpoints in (0, number) if pair % 2 else (number, 0):
            took[checkpoints] = turn(training, loop, kept, length, checkpoints)
        without.append(took[0].whole / length)
        lost.append((took[number].whole - took[0].whole) / number)
        held += took[number].held
    cost, wait = statistics.median(lost), statistics.median(held)
    busy = kept.spent / (rounds * number)
    share = max(cost, wait) / INTERVAL  # noise can make the difference smaller than its part
    line = (
        f"| {name} | {size:.1f} | {1e3 * statistics.median(without):.1f} | {1e3 * wait:.1f} "
        f"| {1e3 * busy:.1f} | {1e3 * cost:.0f} ({1e3 * min(lost):.0f} to {1e3 * max(lost):.0f}) "
        f"| {share:.2%} | {(wait + busy) / INTERVAL:.2%} |"
    )
    return line, share


def bound(overrides: list[str]) -> tuple[Parts, Task]:
    """Return the parts of a run and its task on the CPU, from the yaml files."""
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="skeleton", node=schema.Config)
    with initialize_config_dir(str(config.conf_dir()), version_base="1.3"):
        settings = config.plain(compose("run", overrides))
    parts = config.parts(settings)
    cpu = torch.device("cpu")
    task = parts.dataset(Path(settings["data"])).prepare(
        batch_size=parts.recipe.batch_size, device=cpu, channels_last=channels_last(parts.recipe, cpu)
    )
    return parts, task


def ticket_of(parts: Parts, task: Task) -> Ticket:
    """Return a ticket at a density that levels have."""
    model = build(parts, task)
    mask = {name: torch.rand(m.shape) < DENSITY for name, m in masks.dense(model).items()}
    return Ticket(dict(model.state_dict()), mask, Span(0, 10**9))


def plan(training: Training, loop: Iterator[int], kept: Checkpoints) -> tuple[int, int]:
    """Return the steps of a turn and the checkpoints in one, after a first step and checkpoint.

    A checkpoint is long on the disk before the next one is due.
    """
    for _ in range(3):
        next(loop)
    writes = [clocked(training, loop, kept) for _ in range(2)]
    begun, taken = time.perf_counter(), 0
    while time.perf_counter() - begun < TURN / 2 or taken < 3:
        next(loop)
        taken += 1
    step = (time.perf_counter() - begun) / taken
    length = max(TURN, 3 * writes[-1])
    number = min(8, max(1, int(length / (6 * writes[-1]))))
    return max(number, round(length / step)), number


def clocked(training: Training, loop: Iterator[int], kept: Checkpoints) -> float:
    """Return the seconds that a checkpoint takes until it is on the disk, nothing else going on."""
    next(loop)
    begun = time.perf_counter()
    checkpoint(training, kept)
    kept.settle()
    return time.perf_counter() - begun


def turn(
    training: Training, loop: Iterator[int], kept: Checkpoints, length: int, number: int
) -> Turn:
    """Train `length` steps with `number` checkpoints, evenly spaced from the first step on."""
    due = {i * length // number for i in range(number)}
    held = []
    begun = time.perf_counter()
    for step in range(length):
        next(loop)
        if step in due:
            clock = time.perf_counter()
            checkpoint(training, kept)
            held.append(time.perf_counter() - clock)
    kept.settle()
    return Turn(time.perf_counter() - begun, held)


def head(rounds: int) -> str:
    """Return the machine, the command, the date and what the columns are."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else ():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
    return "\n".join([
        "# What checkpoints within a level cost",
        "",
        f"`python scripts/benchmark_checkpoints.py {rounds}`, {datetime.now(UTC).date().isoformat()}, "
        f"{cpu}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"load average at the end {os.getloadavg()[0]:.1f}.",
        f"Medians of {rounds} pairs of turns, one with checkpoints and one without. *held up*: for how",
        "long the loop over steps waits for a checkpoint; *its thread*: the time of a processor that",
        "packing, hashing and writing take beside the steps; *lost*: how much longer the same steps take",
        "for each checkpoint, the wait included, and *share* that of 60 s; *at most*: the share if the",
        "steps stood still for as long as the thread computes, which is the worst that can be.",
        "",
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 9))

"""Measure the exact selection of the highest scores: seconds, memory, and a ratio to torch's own.

    python scripts/benchmark_selection.py [SCORES]

Three cases, each in a process of its own, the best of three turns:
a tenth kept of SCORES (by default a billion) normal float32 scores in eight layers; magnitude
pruning of weights in ResNet-50's shapes to a tenth, from the weights to the checked mask; and 50
million scores against the naive way (join the layers, torch.kthvalue) on the same data. Memory is
the peak of the process over what it held before there were scores. Writes benchmarks/selection.md.
Run it on an idle machine.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TURNS = 3
DENSITY = 0.1
LAYERS = 8
COMPARED = 50_000_000


def main(number: int) -> None:
    """Measure every case and write the table."""
    cases = [("billion", number), ("resnet50", 0), ("naive", COMPARED)]
    lines = ["| case | threads | seconds, best of 3 (all) | processor seconds | peak memory / scores |",
             "|---|---|---|---|---|"]  # fmt: skip
    for case, size in cases:
        command = [sys.executable, __file__, "child", case, str(size)]
        for row in json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout):
            walls, used = zip(*row["seconds"], strict=True)
            times = ", ".join(f"{t:.2f}" for t in walls)
            peak = f"{row['peak']:.2f}" if row["peak"] else ""
            lines.append(f"| {row['name']} | {row['threads']} | {min(walls):.2f} ({times}) | {min(used):.2f} | {peak} |")
            print(lines[-1], flush=True)
    Path("benchmarks").mkdir(exist_ok=True)
    Path("benchmarks/selection.md").write_text(head(number) + "\n".join(lines) + "\n")


def child(case: str, number: int) -> list[dict[str, Any]]:
    """Return the rows of one case."""
    return {"billion": billion, "resnet50": resnet50, "naive": naive}[case](number)


def billion(number: int) -> list[dict[str, Any]]:
    """Keep a tenth of `number` scores."""
    from lottery.components.allocations.globally import globally
    from lottery.terms import mask as masks

    before = peak()
    scores, mask = noise(number)
    kept: list[int] = []
    times = clock(lambda: kept.append(masks.kept(globally(scores, mask, DENSITY))))
    assert kept == [masks.count(DENSITY, mask)] * TURNS
    return [row(f"{number:,} scores in {LAYERS} layers, a tenth kept", times, (peak() - before) / (4 * number))]


def resnet50(_: int) -> list[dict[str, Any]]:
    """Prune ResNet-50 by magnitude: scores, allocation, check."""
    import torch

    from lottery.components.allocations.globally import globally
    from lottery.components.criteria.magnitude import magnitude
    from lottery.machine.libraries import torchvision
    from lottery.terms import mask as masks

    model = torchvision("models").resnet50()
    mask = masks.dense(model)

    def prune() -> None:
        scores = magnitude(model, mask, None, torch.Generator(), DENSITY)  # type: ignore[arg-type]
        masks.check(mask, globally(scores, mask, DENSITY), masks.count(DENSITY, mask))

    return [row(f"magnitude of ResNet-50's {masks.total(mask):,} weights, a tenth kept", clock(prune))]


def naive(number: int) -> list[dict[str, Any]]:
    """Keep a tenth of `number` scores, ours and the naive way in turns."""
    import torch

    from lottery.components.allocations.globally import globally

    scores, mask = noise(number)
    count = round(DENSITY * number)

    def joined() -> None:
        flat = torch.cat(list(scores.values()))
        (flat > torch.kthvalue(flat, number - count).values).split([len(s) for s in scores.values()])

    turns = [(clock(lambda: globally(scores, mask, DENSITY), 1)[0], clock(joined, 1)[0]) for _ in range(TURNS)]
    ours, theirs = (list(column) for column in zip(*turns, strict=True))
    ratio = min(theirs)[0] / min(ours)[0]
    return [row(f"{number:,} scores, ours", ours),
            row(f"the same, joined and torch.kthvalue: {ratio:.1f} times as long", theirs)]  # fmt: skip


def noise(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return normal scores in equal layers, and the mask that keeps them all."""
    import torch

    draw = torch.Generator().manual_seed(0)
    names = [str(index) for index in range(LAYERS)]
    scores = {name: torch.empty(number // LAYERS).normal_(generator=draw) for name in names}
    return scores, {name: torch.ones(number // LAYERS, dtype=torch.bool) for name in names}


def clock(turn: Callable[[], object], turns: int = TURNS) -> list[tuple[float, float]]:
    """Return the seconds of each turn: on the clock, and of the processors' time."""
    seconds = []
    for _ in range(turns):
        begun, used = time.perf_counter(), time.process_time()
        turn()
        seconds.append((time.perf_counter() - begun, time.process_time() - used))
    return seconds


def row(name: str, seconds: list[tuple[float, float]], over: float = 0.0) -> dict[str, Any]:
    import torch

    return {"name": name, "threads": torch.get_num_threads(), "seconds": seconds, "peak": over}


def peak() -> int:
    """Return the most memory that this process has held, in bytes."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else 1024 * held


def head(number: int) -> str:
    """Return the machine, the command and the date."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else ():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
    import torch

    day = datetime.now(UTC).date().isoformat()
    return (f"# Exact selection of the highest scores\n\n`python scripts/benchmark_selection.py {number}`, {day}, "
            f"{cpu}, {os.cpu_count()} cores, torch {torch.__version__}, load average at the end "
            f"{os.getloadavg()[0]:.1f}.\nBest of {TURNS} turns (all of them in brackets): other work ran on "
            "the machine at the same time, which\nprocessor seconds do not count.\nPeak memory: that of the process over what it held before the "
            "scores were made; it holds\nthe scores (1), the mask (0.25) and the new mask (0.25).\n\n")  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(child(sys.argv[2], int(sys.argv[3]))))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000_000)

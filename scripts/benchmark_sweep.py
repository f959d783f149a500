"""Measure a sweep with two workers against one job after the other, as whole commands.

    python scripts/benchmark_sweep.py [TURNS]

Each case is one sweep on digits, typed into empty folders in turns: with host.workers=2 and without,
a thread for each job. Every file of weights, masks and tables, their times left out, has to be the
same. One worker is the pool on a single core, as taskset gives it, and is measured in the small case.
Writes benchmarks/sweeps.md. Run it on an idle machine with two cores; Linux only.
"""

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pandas as pd
import torch

WAYS = {"one after the other": (), "one worker": (), "two workers": ("host.workers=2",)}
SMALL = "16 jobs of LeNet"
CASES = {
    SMALL: ["model=lenet_300_100", "prune=imp,random", "replicate=range(8)"],
    "60 jobs of LeNet": [
        "model=lenet_300_100", "prune=imp,random,snip,grasp,synflow", "replicate=range(12)", "levels=3",
    ],
}  # fmt: skip
SHARED = ["dataset=digits", "host.threads=1", "host.progress=none"]


def main(turns: int) -> int:
    """Measure every case and write the table; return 1 where bits differ."""
    lines = ["| case | one after the other, s | one worker, s | two workers, s | ratio to one after the other "
             "(min-max) | ratio to one worker | files compared |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    alike = True
    for name, words in CASES.items():
        ways = [way for way in WAYS if way != "one worker" or name == SMALL]
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(turns):
            made = []
            for way in ways:
                with tempfile.TemporaryDirectory() as folder:
                    seconds[way].append(timed(way, words, folder))
                    made.append(contents(Path(folder) / "outputs"))
            alike &= all(files == made[0] for files in made)
        serial, one, two = seconds.values()
        ratios = [a / b for a, b in zip(serial, two, strict=True)]
        pool = [a / b for a, b in zip(one, two, strict=False)]
        cells = [
            name, *(f"{median(each):.1f}" if each else "" for each in seconds.values()),
            f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            f"{median(pool):.2f} ({min(pool):.2f}-{max(pool):.2f})" if pool else "",
            f"{len(made[0])}, {'all the same' if alike else 'NOT the same'}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    Path("benchmarks").mkdir(exist_ok=True)
    Path("benchmarks/sweeps.md").write_text(head(turns) + "\n".join(lines) + "\n")
    return 0 if alike else 1


def timed(way: str, words: list[str], folder: str) -> float:
    """Run a sweep in a folder; return the seconds of the whole command."""
    command = [sys.executable, "-m", "lottery", "run", "-m", *SHARED, *words, *WAYS[way]]
    if way == "one worker":
        command = ["taskset", "-c", "0", *command, "host.workers=auto"]
    begun = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def contents(outputs: Path) -> dict[str, str]:
    """Return the digest of each file of tensors, and of each table without its times."""
    found = {}
    for path in sorted(outputs.glob("**/*")):
        name = str(path.relative_to(outputs))
        if path.suffix == ".safetensors":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix == ".csv":
            table = pd.read_csv(path)
            kept = table[[c for c in table.columns if "seconds" not in c and "per_second" not in c]]
            found[name] = hashlib.sha256(kept.to_csv().encode()).hexdigest()
    return found


def head(turns: int) -> str:
    """Return what stands above the table: machine, command and date."""
    return (
        "# A sweep with two workers\n\n"
        f"`python scripts/benchmark_sweep.py {turns}`, {datetime.now(UTC):%Y-%m-%d}, {processor()}, "
        f"{os.cpu_count()} cores, torch {torch.__version__}, load average at the end "
        f"{os.getloadavg()[0]:.1f}.\nSeconds of whole commands, median of {turns} turns; a thread for "
        "each job (six levels in the small case, four in the large one), levels shared as ever.\n\n"
    )


def processor() -> str:
    """Return the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))

"""Train a thousand short levels in one process and show that it holds no more at the end.

    python scripts/soak.py [LEVELS] [FOLDER]

The real command line, called again and again in this process: a run of ten levels for each
replicate, a net of 84 weights on synthetic images, a checkpoint every five steps, a progress bar.
Every fifty levels: resident memory, Python objects, open files, threads, temporary files, and what
lies under outputs/. After a tenth of the levels all of it has to stay as it is; outputs/ holds what
the first run left, times the runs. Writes benchmarks/soak.md for a thousand levels or more, and
exits 1 where something grows. FOLDER keeps the outputs; by default they are thrown away.
Linux only: it reads /proc.
"""

import contextlib
import gc
import io
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch

from lottery import cli

DEEP = 10  # levels of a run
EVERY = 50  # levels between two looks
GROWTH = 0.03  # of memory, objects and bytes a run; what is above counts as a leak
TINY = [
    "dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", "dataset.validation=12",
    "dataset.classes=4", "dataset.channels=1", "dataset.size=4", "dataset.mean=[0.5]",
    "dataset.std=[0.25]", "model=lenet_300_100", "model.hidden=[4]", "train.batch_size=12",
    "train.length=3ep", "host.threads=1", "host.progress=bar", "checkpoint_every=5it",
    f"levels={DEEP - 1}",
]  # fmt: skip


class Look(NamedTuple):
    """What the process and outputs/ hold after so many levels."""

    levels: int
    memory: float  # MB resident
    objects: int  # of Python, those that the garbage collector follows
    files: int  # open
    threads: int
    temporary: int  # files left over, under outputs/ and where the system keeps temporary ones
    stored: float  # MB under outputs/
    per_level: float  # kB


def main(levels: int, folder: Path) -> int:
    """Train, look, write the table; return the exit code."""
    torch.set_num_threads(1)
    tempfile.tempdir = str(folder / "temporary")  # of this process alone, so that it can be counted
    os.makedirs(tempfile.tempdir, exist_ok=True)
    begun = time.monotonic()
    looks = list(soak(levels, folder))
    seconds = time.monotonic() - begun
    wrong = complaints(looks, folder)
    text = report(looks, wrong, seconds)
    print(text)
    if levels >= 1000:
        Path("benchmarks").mkdir(exist_ok=True)
        Path("benchmarks/soak.md").write_text(text)
    return 1 if wrong else 0


def soak(levels: int, folder: Path) -> Iterator[Look]:
    """Run replicate after replicate; yield a look every `EVERY` levels, or after each run if fewer."""
    every = min(EVERY, DEEP * max(1, levels // (6 * DEEP)))
    for replicate in range(-(-levels // DEEP)):
        words = ["run", *TINY, f"replicate={replicate}", f"outputs={folder / 'outputs'}"]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = cli.main(words)
        if code:
            sys.exit(f"replicate {replicate} ended with code {code}:\n{said.getvalue()}")
        done = (replicate + 1) * DEEP
        if done % every == 0:
            yield look(done, folder / "outputs")
            print(f"{done} levels", file=sys.stderr)


def look(levels: int, outputs: Path) -> Look:
    """Return what is held now."""
    gc.collect()
    objects = len(gc.get_objects())
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    found = [p for p in outputs.rglob("*") if p.is_file() and not p.is_symlink()]
    stored = sum(p.stat().st_size for p in found)
    left = [p for p in found if p.name.startswith(".tmp-")]
    made = Path(tempfile.gettempdir()).iterdir()
    left += [p for p in made if not p.name.startswith("torchinductor")]  # one folder of torch's
    return Look(
        levels=levels,
        memory=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        objects=objects,
        files=len(os.listdir("/proc/self/fd")) - 1,  # one of them reads the list
        threads=len(os.listdir("/proc/self/task")),
        temporary=len(left),
        stored=stored / 1e6,
        per_level=stored / 1e3 / levels,
    )


def complaints(looks: list[Look], folder: Path) -> list[str]:
    """Return a line for everything that grew and should not have."""
    settled = [x for x in looks if x.levels > looks[-1].levels / 10]
    early, late = settled[:3], settled[-3:]
    found = []
    for name in ("memory", "objects"):
        before, after = (statistics.median(getattr(x, name) for x in xs) for xs in (early, late))
        if after > before * (1 + GROWTH):
            found.append(f"{name} grew from {before:,.1f} to {after:,.1f}")
    for name in ("files", "threads", "temporary"):
        seen = {getattr(x, name) for x in settled}
        if len(seen) > 1 or (name == "temporary" and seen != {0}):
            found.append(f"{name} did not stay the same: {sorted(seen)}")
    if abs(looks[-1].per_level / looks[0].per_level - 1) > GROWTH:
        found.append(
            f"outputs/ held {looks[0].per_level:.2f} kB a level at first, "
            f"{looks[-1].per_level:.2f} kB at the end"
        )
    return found + odd_folders(folder / "outputs")


def odd_folders(outputs: Path) -> list[str]:
    """Return a line for each kind of folder whose files are not the same in every run or level."""
    found = []
    for kind, pattern in (("level", "store/*"), ("run", "*/*/replicate_*")):
        names = [tuple(sorted(p.name for p in f.iterdir())) for f in outputs.glob(pattern)]
        seen = Counter(names)
        if len(seen) > 1:
            common = set(seen.most_common(1)[0][0])
            odd = {name for each in seen for name in common ^ set(each)}
            found.append(f"not every {kind} has the same files: {', '.join(sorted(odd))}")
    return found


def report(looks: list[Look], wrong: list[str], seconds: float) -> str:
    """Return the machine, the command, the date, the table and the verdict."""
    rows = [
        f"| {x.levels:,} | {x.memory:.1f} | {x.objects:,} | {x.files} | {x.threads} | {x.temporary} "
        f"| {x.stored:.2f} | {x.per_level:.2f} |"
        for x in looks
    ]
    verdict = "".join(f"- {line}\n" for line in wrong) or "Nothing grew.\n"
    return "\n".join([
        "# A thousand levels in one process" if looks[-1].levels >= 1000 else "# Soak",
        "",
        f"`python scripts/soak.py {looks[-1].levels}`, {datetime.now(UTC).date().isoformat()}, "
        f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}, {seconds:.0f} seconds.",
        "Memory is what is resident, objects are those that the garbage collector follows, outputs/",
        f"without what the file system adds. A run is {DEEP} levels; each level has checkpoints on the way.",
        "",
        "| levels | memory, MB | objects | open files | threads | temporary files | outputs/, MB | a level, kB |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        verdict,
    ])  # fmt: skip


def processor() -> str:
    """Return the name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine


if __name__ == "__main__":
    number = int(sys.argv[1]) if sys.argv[1:] else 1000
    if sys.argv[2:]:
        sys.exit(main(number, Path(sys.argv[2]).absolute()))
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        sys.exit(main(number, Path(scratch)))

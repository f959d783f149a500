"""Find the runs that a path or a name means, where something else was wanted. Imports no torch."""

import glob
import os
from pathlib import Path

from lottery.storage.records import RUN

INSIDE = ("", "replicate_*", "*/replicate_*")  # below a folder: of a run, a config, a name


def replicates(path: Path, outputs: Path = Path("outputs")) -> list[Path]:
    """Return the replicate folders that a path, a name or the start of an id means; [] for none."""
    if path.is_dir():
        return holding([path / inner for inner in INSIDE])
    word = glob.escape(str(path))
    if path.is_absolute() or ".." in path.parts or word == ".":
        return []
    below = [outputs / word / inner for inner in INSIDE]
    return holding(below) or holding([outputs / "*" / f"{word}*" / "replicate_*"])


def holding(patterns: list[Path]) -> list[Path]:
    """Return the folders that the first of some patterns finds which finds any with a run."""
    for pattern in patterns:
        if found := sorted(glob.glob(os.path.join(pattern, RUN))):
            return [Path(file).parent for file in found]
    return []

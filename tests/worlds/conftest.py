"""Install two foreign worlds as a package, and type commands in them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for --import-mode=importlib: `import foreign`

WORDS = {
    "chains": ["dataset=chains", "train=digits", "model=word_net", "train.batch_size=4", "train.length=3ep",
               "train.optimizer.lr=0.5", "levels=2", "host.threads=1", "host.progress=none"],
    "rows": ["dataset=rows", "train=digits", "model=row_net", "train.batch_size=12", "train.length=3ep",
             "train.optimizer.lr=0.05", "levels=2", "host.threads=1", "host.progress=none"],
    "couplets": ["dataset=couplets", "train=digits", "model=attends", "train.batch_size=10", "train.length=3ep",
                "levels=1", "host.threads=1", "host.progress=none"],
}  # fmt: skip


class Foreign:
    """Types commands about the runs of a foreign world."""

    def __init__(self, lottery, folder, capsys, path):
        self.lottery, self.path, self.capsys = lottery, path, capsys
        self.outputs = folder / "outputs"

    def words(self, world, *overrides):
        """Return what follows `lottery run`."""
        return ["--config-dir", str(self.path / "conf"), *WORDS[world], *overrides]

    def run(self, world, *overrides, code=0):
        """Run a world; return the folder of its replicate."""
        before = set(self.outputs.glob("*/*/replicate_*"))
        assert self.lottery("run", *self.words(world, *overrides)) == code, self.capsys.readouterr()
        new = set(self.outputs.glob("*/*/replicate_*")) - before
        return new.pop() if new else None

    def said(self, *words, code=0):
        """Type another command; return what it prints."""
        self.capsys.readouterr()
        assert self.lottery(*words) == code, self.capsys.readouterr()
        out, err = self.capsys.readouterr()
        return out if code == 0 else err

    def process(self, *words, **options):
        """Type a command in a process of its own."""
        paths = os.pathsep.join([str(self.path), str(HERE)])
        return subprocess.Popen(
            [sys.executable, "-m", "lottery", *map(str, words)], cwd=self.outputs.parent,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options,
        )  # fmt: skip


@pytest.fixture
def foreign(lottery, tmp_path, installed, capsys):
    """Return what types commands in two foreign worlds, in tmp_path."""
    import foreign

    return Foreign(lottery, tmp_path, capsys, installed("worlds", foreign.install))

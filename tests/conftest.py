"""Run the command line: in this process for speed, in its own where that is the point."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

COUNTS = "LOTTERY_TORTURE_COUNTS"  # what the torture suite counts in
# What this machine's user has set, and what a run, its output or a figure would be changed by; some
# of it is read where a package is imported.
SET_HERE = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PYTHON_COLORS", "CLICOLOR",
            "CLICOLOR_FORCE", "COMP_LINE", "COMP_POINT", "MPLBACKEND", "PYTHONWARNINGS"}  # fmt: skip
SET_FOR = ("LOTTERY_", "HYDRA_", "OC_", "TQDM_", "WANDB_", "MLFLOW_", "SLURM_", "GIT_")
for name in [n for n in os.environ if n in SET_HERE or n.startswith(SET_FOR) and n != COUNTS]:
    del os.environ[name]

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from lottery import cli  # noqa: E402
from lottery.machine import signals  # noqa: E402

CONF = Path(__file__).parents[1] / "conf"
torch.set_num_threads(1)

# A net of 84 weights on 60 images: a level takes milliseconds.
TINY = [
    "dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", "dataset.validation=12",
    "dataset.classes=4", "dataset.channels=1", "dataset.size=4", "dataset.mean=[0.5]",
    "dataset.std=[0.25]", "model=lenet_300_100", "model.hidden=[4]", "train.batch_size=12",
    "train.length=3ep", "host.threads=1", "host.progress=none", "levels=2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """Let output be as in a file: pytest-xdist tells its workers how wide its own terminal is."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def tiny():
    """Return the overrides of a run that takes well under a second: 48 examples, 4 steps an epoch."""
    return list(TINY)


PACKAGES = {}  # of several tests: name -> where it is installed, once a process
SHARED = {}  # what commands have read of conf/ and of those, which no test changes


def shares(own, sweep):
    """Return a loader that reads such a folder once a process, as a sweep does: twice as fast."""
    from lottery.config import sources

    found = sources.loader(own, sweep)
    places = tuple(folder for _, folder in sources.folders(own))
    if {*places} <= {CONF, *(path / "conf" for path in PACKAGES.values())}:
        found.sweep = True
        found.read, found.merged = SHARED.setdefault(places, ({}, {}))
    return found


@pytest.fixture
def installed(monkeypatch, tmp_path_factory):
    """Install a package, the same for all tests that ask for it; return its folder."""

    def call(name, install):
        if name not in PACKAGES:
            PACKAGES[name] = tmp_path_factory.mktemp(name)
            install(PACKAGES[name])
        monkeypatch.syspath_prepend(str(PACKAGES[name]))
        return PACKAGES[name]

    return call


@pytest.fixture
def lottery(tmp_path, monkeypatch, request):
    """Call the command line in this process, in tmp_path; return the exit code."""
    monkeypatch.chdir(tmp_path)
    if request.path.parent.name != "config":  # there every command reads for itself
        from lottery.config import sweeping

        monkeypatch.setattr(sweeping, "loader", shares)
    names = [n for n in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP") if hasattr(signal, n)]
    before = {n: signal.getsignal(getattr(signal, n)) for n in names}
    yield lambda *words: cli.main([str(w) for w in words])
    signals.forget()  # else the next run in this process, or in a child of it, stops at once
    torch.set_flush_denormal(False)  # a run turns it on, and hypothesis refuses to go on with it
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.fixture
def run(lottery, tiny, tmp_path):
    """Run a tiny experiment in this process; return the folder of its replicate."""

    def call(*overrides, code=0):
        before = set(tmp_path.glob("outputs/*/*/replicate_*"))
        own_net = any(str(word).startswith("model=") for word in overrides)
        words = [w for w in tiny if not (own_net and w.startswith("model"))]
        assert lottery("-v", "run", *words, *overrides) == code
        folders = sorted(tmp_path.glob("outputs/*/*/replicate_*"), key=lambda f: f in before)
        return folders[0] if folders else None

    return call


MADE = {}  # what an earlier test of this process has made: name -> where a copy lies


@pytest.fixture
def once(tmp_path, tmp_path_factory):
    """Fill tmp_path by a function, once a process: from then on with a copy of what it made."""

    def call(name, make):
        if name in MADE:
            shutil.copytree(MADE[name], tmp_path, symlinks=True, dirs_exist_ok=True)
            return
        make()
        MADE[name] = tmp_path_factory.mktemp("once") / name
        shutil.copytree(tmp_path, MADE[name], symlinks=True)

    return call


@pytest.fixture
def bits():
    """Return a function of a run's folder: what its levels and branches are, to the bit."""

    def call(folder):
        found = {}
        for path in sorted(folder.glob("level_*/*.safetensors")):
            for key, tensor in load_file(path).items():
                found[path.parent.name, path.name, key] = tensor.numpy().tobytes()
        for path in folder.glob("level_*/curve.csv"):
            found[path.parent.name, path.name, ""] = path.read_bytes()
        return found

    return call


class CutError(BaseException):
    """The process is gone."""


@pytest.fixture
def cut(monkeypatch):
    """Call a function that is cut off after so many updates, over all levels, as by a kill."""

    def call(updates, work, *words):
        from lottery.progress.bars import Progress

        advance, left = Progress.advance, [updates]

        def counted(watch):
            advance(watch)
            left[0] -= 1
            if not left[0]:
                raise CutError

        with monkeypatch.context() as patch:
            patch.setattr(Progress, "advance", counted)
            with pytest.raises(CutError):
                work(*words)

    return call


@pytest.fixture
def shell(tmp_path):
    """Call the real command line in its own process, in tmp_path."""

    def call(*words, env=None, **options):
        return subprocess.run(
            [sys.executable, "-m", "lottery", *map(str, words)],
            cwd=options.pop("cwd", tmp_path), capture_output=True, text=True, timeout=600,
            env=os.environ | {"OMP_NUM_THREADS": "1", "LOTTERY_DATA": str(tmp_path / "data")}
            | (env or {}),
            check=False, **options,
        )  # fmt: skip

    return call


ZOO = Path(__file__).parent / "nets"
sys.path.insert(0, str(ZOO))  # for --import-mode=importlib: `import zoo`


class Zoo:
    """Runs nets of tests/nets/zoo.py as those of an installed package: see there."""

    ASKED = {"tied_embedding": ['prune.include=["*",embedding]']}  # an embedding is pruned if it is

    def __init__(self, lottery, folder, capsys, path):
        self.lottery, self.path, self.capsys = lottery, path, capsys
        self.outputs = folder / "outputs"
        self.folders = {}  # what is known of the runs so far

    def words(self, net, *overrides):
        """Return what follows `lottery run`."""
        own = [word for word in TINY if not word.startswith("model")] + self.ASKED.get(net, [])
        return ["--config-dir", str(self.path / "conf"), *own, f"model={net}", *overrides]

    def __call__(self, net, *overrides, code=0, command=("run",)):
        """Run a net; return the folder of its replicate, None where there is none."""
        before = set(self.outputs.glob("*/*/replicate_*"))
        assert self.lottery(*command, *self.words(net, *overrides)) == code
        new = set(self.outputs.glob("*/*/replicate_*")) - before
        words = (net, *overrides)
        self.folders[words] = new.pop() if new else self.folders.get(words)
        return self.folders[words]

    def refusal(self, net, *overrides):
        """Return the line of a run that ends with exit code 2 before anything is written."""
        self.capsys.readouterr()
        assert self(net, *overrides, code=2) is None
        out, line = self.capsys.readouterr()
        assert line.startswith("lottery: ") and line.count("\n") == 1, (out, line)
        return line


def install_zoo(folder):
    """Make a package's entry points and yaml files of the nets, in an empty folder."""
    import zoo

    nets = [*zoo.NETS, *zoo.REFUSED]
    about = folder / "zoo-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.0\n")
    points = "\n".join(f"{name} = zoo:{name}" for name in nets)
    (about / "entry_points.txt").write_text(f"[lottery.model]\n{points}\n")
    (folder / "conf" / "model").mkdir(parents=True)
    for name in nets:
        (folder / "conf" / "model" / f"{name}.yaml").write_text(f"name: {name}\n")


@pytest.fixture
def zoo(lottery, tmp_path, installed, capsys):
    """Return what runs the nets of tests/nets/zoo.py in this process, in tmp_path."""
    return Zoo(lottery, tmp_path, capsys, installed("zoo", install_zoo))


CONFIG = {  # of a run that was never trained, but for what a test changes
    "model": {"name": "lenet", "hidden": [300, 100], "init": "xavier_normal"},
    "dataset": {"name": "digits", "validation": 144},
    "train": {"length": "12ep", "batch_size": 96, "optimizer": {"name": "sgd", "lr": 0.1}},
    "prune": {
        "criterion": {"name": "magnitude"}, "structure": {"name": "weight"},
        "update": {"name": "static"}, "at": "end",
    },
    "schedule": {"name": "geometric", "keep": 0.8},
    "rewind": {"name": "init"},
    "branches": {},
    "levels": 3,
    "outputs": "outputs",
}  # fmt: skip
CHOICES = {
    "host": "local", "rewind": "init", "schedule": "geometric", "prune": "imp",
    "model": "lenet_300_100", "dataset": "digits", "train": "digits",
}  # fmt: skip


@pytest.fixture
def fabricate(tmp_path):
    """Write the records of a run under tmp_path/outputs, as if it had reached these accuracies."""

    def call(
        name="lenet_300_100_digits_imp", ident="aaaaaaaaaa", replicate=0, test=(0.97, 0.96, 0.95),
        choices=None, config=None, record=None, densities=(1.0, 0.8, 0.64, 0.512),
        metric="accuracy", **columns,
    ):  # fmt: skip
        import yaml

        from lottery.storage.ledger import Ledger
        from lottery.storage.records import signed, whose
        from lottery.storage.tables import table

        folder = tmp_path / "outputs" / name / ident / f"replicate_{replicate}"
        folder.mkdir(parents=True)
        rows, layers = [], []
        for level, accuracy in enumerate(test):
            kept = round(1000 * densities[level])
            about = {"level": level, "density": densities[level], "compression": 1000 / kept}
            more = {column: values[level] for column, values in columns.items()}
            both = {f"val_{metric}": accuracy, f"test_{metric}": accuracy}
            rows.append(about | {"kept": kept, "total": 1000} | both | more)
            layer = {"layer": "fc", "kept": kept, "total": 1000, "density": kept / 1000}
            layers.append({"level": level} | layer)
        settings = {**CONFIG, "replicate": replicate}
        for key, value in (config or {}).items():
            *path, last = key.split(".")
            node = settings
            for part in path:
                node[part] = dict(node.get(part, {}))
                node = node[part]
            node[last] = value
        files = {"metrics.csv": table(rows), "layers.csv": table(layers)} if rows else {}
        files["config.yaml"] = yaml.safe_dump(settings, sort_keys=False).encode()
        Ledger(folder).write_files(files)
        body = {
            "run": whose(folder), "state": "done", "command": "lottery run",
            "choices": CHOICES | (choices or {}), "started": "2026-11-01T10:00:00+00:00",
            "ended": "2026-11-01T10:05:00+00:00", "seconds": 300.0, "levels_asked": 3,
            "data": "d1", "drift": [], **(record or {}),
        }  # fmt: skip
        (folder / "run.json").write_text(json.dumps(signed(body)))
        return folder

    return call


# The torture suite counts what it has checked, and compares it with what it is to check.
WHOLE = ("torture", "(slow or torture) and not gpu")  # the suite alone, and as .ci/run asks for it
WANTED = {
    "random SIGKILL runs": 200,
    "random SIGKILL kills": 1500,
    "command line under kill -9": 24,
    "file-system calls": 280,
    "faults during recovery": 100,
    "crash states": 300,
    "mutants": 9,
    "bit identity": 96,
    "corruption": 600,
    "signals": 40,
    "locks": 50,
    "full disk": 15,
    "NaN": 9,
    "malicious corpus": 40,
    "state machines": 600,
}


@pytest.fixture
def tally():
    """Add checks that have passed to a row of the table that ends the suite."""

    def add(row, checks=1):
        assert row in WANTED, f"{row} is no row of the table"
        with open(os.environ[COUNTS], "a") as file:
            file.write(json.dumps([row, checks]) + "\n")

    return add


MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30  # bytes; where there is less, a test's files lie on the disk


def pytest_configure(config):
    """Keep files of tests in memory: a kill needs no disk, and thousands of fsyncs take minutes."""
    if "not gpu" in config.getoption("-m"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # host.device=auto is the processor on any machine
    if not hasattr(config, "workerinput"):
        if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
        handle, path = tempfile.mkstemp(prefix="lottery-torture-")
        os.close(handle)
        os.environ[COUNTS] = path


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Let what the torture suite does not mark be run with it and with the default tests."""
    for item in items:
        if item.path.parent.name == "torture" and not item.get_closest_marker("torture"):
            item.add_marker("torture")
            item.add_marker("always")


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        Path(os.environ[COUNTS]).unlink(missing_ok=True)


def counted():
    found = Counter()
    for line in Path(os.environ[COUNTS]).read_text().splitlines():
        row, checks = json.loads(line)
        found[row] += checks
    return found


def whole(config):
    """Say whether all of the torture suite was asked for, and nothing left out."""
    asked = config.getoption("-m") in WHOLE and not config.getoption("-k")
    return asked and not [word for word in config.args if "::" in word or word.endswith(".py")]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    config = session.config
    if not hasattr(config, "workerinput") and whole(config) and session.exitstatus == 0:
        found = counted()
        if any(found[row] < number for row, number in WANTED.items()):
            session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, config):
    found = counted()
    if not found or not whole(config):
        return
    terminalreporter.section("checks that passed, and how many there are to be")
    for row, number in WANTED.items():
        few = "" if found[row] >= number else "   TOO FEW"
        terminalreporter.write_line(f"{row:<28} {found[row]:>5} of {number:>5}{few}")
    terminalreporter.write_line(f"{'all':<28} {sum(found.values()):>5}")

"""An error in somebody else's component names its file and line, and is no bug of lottery."""

import importlib
import sys

import pytest

from lottery.config import blame, build

MODULE = '''
import torch
from torch import nn


class Breaks(nn.Module):
    def __init__(self, task, after):
        super().__init__()
        self.fc, self.after, self.calls = nn.Linear(16, 4), after, 0

    def forward(self, x):
        self.calls += self.training
        if self.calls > self.after:
            raise ValueError("the first line\\nand another")  # forward breaks
        return self.fc(x.flatten(1))


def late(task, *, after: int):
    return Breaks(task, after)


def early(task):
    return {}["missing"]  # early breaks


def nothing(task):  # nothing returns
    return None


def narrow(model, *, power: float):  # narrow is called
    return {}


def falling(level, *, keep: float):
    return {}[level]  # falling breaks


def endless(task):
    return endless(task)  # endless breaks


class Mute(Exception):
    def __str__(self):
        raise ValueError("says nothing")


def mute(task):
    raise Mute  # mute breaks


def coloured(task):
    raise RuntimeError("\x1b[2J gone \u202e")  # coloured breaks


def greedy(task):
    raise MemoryError  # greedy breaks


def quits(task):
    raise SystemExit(3)
'''
POINTS = {
    "lottery.model": {"late": "own_parts:late", "early": "own_parts:early", "nothing": "own_parts:nothing", **{name: f"own_parts:{name}" for name in ("endless", "mute", "coloured", "greedy")},
                      "quits": "own_parts:quits", "lost": "own_parts:lost", "broken": "own_broken:broken",
                      "absent": "own_absent:absent", "raises": "own_raises:raises", "number": "own_raises:number"},
    "lottery.criterion": {"narrow": "own_parts:narrow"},
    "lottery.schedule": {"falling": "own_parts:falling"},
}  # fmt: skip


@pytest.mark.parametrize(("line", "place"), [
    ("from lottery.mask import Mask", "lottery.terms.mask"),
    ("from lottery import scoring", "lottery.pruning.scoring"),
    ("from lottery.pixels.images import ImageTask", "lottery.tasks.images"),
    ("from lottery.terms.mask import keep_top", "lottery.pruning.keep"),
    ("import lottery.nowhere", ""),
])  # fmt: skip
def test_an_import_of_what_is_elsewhere_now_says_where(line, place):
    with pytest.raises(ImportError) as error:
        exec(line)
    said = blame.said(error.value)
    assert said.endswith(f"; it is in {place}" if place else "No module named 'lottery.nowhere'")
    if place:
        importlib.import_module(place)


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Install a package of components that fail in their own ways; return how lines are found."""
    site = tmp_path / "site"
    about = site / "own_parts-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own_parts\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in POINTS.items()
    ))  # fmt: skip
    (site / "own_parts.py").write_text(MODULE)
    (site / "own_broken.py").write_text("x = 1\ndef broken(:\n")
    (site / "own_raises.py").write_text("number = 3\nimport no_such_module\n")
    for group, name, text in (
        ("model", "late", "name: late\nafter: 6\n"), ("model", "early", "name: early\n"),
        ("model", "nothing", "name: nothing\n"), *(("model", name, f"name: {name}\n") for name in ("endless", "mute", "coloured", "greedy")), ("model", "quits", "name: quits\n"),
        ("model", "lost", "name: lost\n"), ("model", "broken", "name: broken\n"), ("model", "absent", "name: absent\n"),
        ("model", "raises", "name: raises\n"), ("schedule", "falling", "name: falling\nkeep: 0.5\n"),
    ):  # fmt: skip
        path = tmp_path / "conf" / group / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    row = (build.conf_dir() / "prune" / "magnitude_init.yaml").read_text()
    (tmp_path / "conf" / "prune").mkdir()
    (tmp_path / "conf" / "prune" / "narrow.yaml").write_text(row.replace("name: magnitude", "name: narrow, power: 1.0"))
    monkeypatch.syspath_prepend(site)
    yield lambda mark: 1 + MODULE.splitlines().index(next(x for x in MODULE.splitlines() if mark in x))
    for name in [n for n in sys.modules if n.startswith("own_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("words", "mark", "said"),
    [
        (["model=late"], "# forward breaks", "in forward: ValueError: the first line"),
        (["model=early"], "# early breaks", "in early: KeyError: 'missing'"),
        (["model=endless"], "# endless breaks", "in endless: RecursionError: maximum recursion depth"),
        (["model=mute"], "", "own_parts.py, line 44, in __str__: ValueError: says nothing"),
        (["model=coloured"], "# coloured breaks", r"in coloured: RuntimeError: \x1b[2J gone \u202e"),
        (["model=greedy"], "", "the memory of this machine does not suffice"),
        (["model=nothing"], "# nothing returns", "model nothing is to return a torch.nn.Module, and returned None"),
        (["prune=narrow"], "# narrow is called", "as lottery calls a criterion"),
        (["schedule=falling"], "# falling breaks", "in falling: KeyError"),
        (["model=quits"], "", "a component called sys.exit(3)"),
        (["model=lost"], "", "lost = own_parts:lost cannot be loaded: AttributeError"),
        (["model=broken"], "", "own_broken.py, line 2: SyntaxError"),
        (["model=absent"], "", "absent = own_absent:absent cannot be loaded: ModuleNotFoundError"),
        (["model=raises"], "", "own_raises.py, line 2, in <module>: ModuleNotFoundError"),
    ],
)  # fmt: skip
def test_an_error_of_a_component_names_its_line(parts, lottery, tiny, capsys, tmp_path, words, mark, said):
    own = [w for w in tiny if not (w.startswith("model") and any(x.startswith("model") for x in words))]
    assert lottery("run", "--config-dir", tmp_path / "conf", *own, *words) == 2
    out, error = capsys.readouterr()
    assert error.count("lottery: ") == 1 and error.count("\n") == 1, error
    assert said in error
    assert "bug in lottery" not in error
    if mark:
        assert f"site/own_parts.py, line {parts(mark)}" in error


def test_a_run_that_failed_in_the_midst_goes_on_when_it_is_mended(parts, lottery, tiny, capsys, tmp_path):
    from lottery.storage import records

    own = ["--config-dir", tmp_path / "conf", *(w for w in tiny if not w.startswith("model")), "model=late"]
    assert lottery("run", *own) == 2
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    assert records.read_run(folder)["state"] == "failed"
    sys.modules["own_parts"].Breaks.forward = lambda self, x: self.fc(x.flatten(1))
    assert lottery("run", *own) == 0
    assert records.read_run(folder)["state"] == "done"


def test_python_and_notebooks_see_one_line(parts, tiny, tmp_path, monkeypatch):
    import traceback

    import lottery as face
    from lottery.errors import UsageError

    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        face.run(["--config-dir", str(tmp_path / "conf"), "model=early", *tiny[:9]])
    assert caught.value._render_traceback_() == [f"UsageError: {caught.value}"]
    with pytest.raises(UsageError) as caught:
        face.run(["modle=resnet20"])
    assert len("".join(traceback.format_exception(caught.value)).splitlines()) < 30


FOLDERS = {  # kind -> where its yaml lies, and how one is chosen
    "model": ("model", "model=raises"), "dataset": ("dataset", "dataset=raises"),
    "structure": ("prune/structure", "prune/structure=raises"),
    "allocation": ("prune/allocation", "prune/allocation=raises"),
    "moment": ("prune/at", "prune/at=raises"),
    "update": ("prune/update", "prune/update=raises"), "schedule": ("schedule", "schedule=raises"),
    "rewind": ("rewind", "rewind=raises"), "start": ("start", "start=raises"),
    "optimizer": ("train/optimizer", "train/optimizer=raises"), "lr": ("train/lr", "train/lr=raises"),
    "branch": ("branch", "branch=[raises]"), "log": ("log", "log=[raises]"), "criterion": ("prune", "prune=raises"),
    "figure": ("figure", ""),
}  # fmt: skip


@pytest.fixture
def raising(tmp_path, monkeypatch):
    """Install a package whose components of every kind raise what is asked for."""
    site, about = tmp_path / "site", tmp_path / "site" / "own_raising-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own_raising\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("".join(f"[lottery.{kind}]\nraises = own_raising:raises\n" for kind in FOLDERS))
    for kind, (folder, _) in FOLDERS.items():
        path = tmp_path / "conf" / folder / "raises.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        place = {"branch": "# @package branches.raises\n", "log": "# @package loggers.raises\n"}.get(kind, "")
        path.write_text(f"{place}name: raises\n")
    row = (build.conf_dir() / "prune" / "magnitude_init.yaml").read_text()
    (tmp_path / "conf" / "prune" / "raises.yaml").write_text(row.replace("name: magnitude", "name: raises"))
    monkeypatch.syspath_prepend(site)

    def call(error):
        text = f"def raises(*given, lr: float = 0.1):\n    raise {error}('it broke\\nand more')\n"
        (site / "own_raising.py").write_text(text)

    yield call
    sys.modules.pop("own_raising", None)


QUICK = ("criterion", "lr", "rewind")
KINDS = [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in FOLDERS if k != "figure"]


@pytest.mark.parametrize("error", ["ValueError", pytest.param("AttributeError", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_component_raises_names_its_line(raising, lottery, tiny, capsys, tmp_path, kind, error):
    raising(error)
    word = FOLDERS[kind][1]
    group = word.partition("=")[0]
    own = [w for w in tiny if not (group in ("model", "dataset") and w.startswith(group))]
    own += ["train=digits", "train.length=1ep"] if kind == "dataset" else []
    assert lottery("run", "--config-dir", tmp_path / "conf", *own, word) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "own_raising.py, line 2, in raises" in line, line
    assert "it broke" in line and error in line


def test_what_a_figure_raises_names_its_line(raising, lottery, fabricate, capsys, tmp_path):
    raising("ValueError")
    with (tmp_path / "site" / "own_raising-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write("[lottery.conf]\nown = own_raised\n")
    (tmp_path / "site" / "own_raised").mkdir()
    (tmp_path / "conf").rename(tmp_path / "site" / "own_raised" / "conf")
    fabricate()
    assert lottery("plot", "figure=raises") == 2
    assert "own_raising.py, line 2, in raises: ValueError: it broke" in capsys.readouterr().err


READER = '''
from torch.utils.data import DataLoader, Dataset


class Broken(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise LookupError("no such row")  # the reader breaks


def reads(root):
    return next(iter(DataLoader(Broken(), num_workers=1)))
'''


def test_what_a_process_that_reads_raises_names_its_line(tmp_path, monkeypatch):
    from lottery.config import blame

    about = tmp_path / "own_reader-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own_reader\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[lottery.dataset]\nreads = own_reader:reads\n")
    (tmp_path / "own_reader.py").write_text(READER)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LookupError) as error:
        importlib.import_module("own_reader").reads(None)
    told = str(blame.in_words(error.value))
    line = 1 + READER.splitlines().index('        raise LookupError("no such row")  # the reader breaks')
    assert told.endswith(f"own_reader.py, line {line}, in __getitem__: LookupError: no such row")
    del sys.modules["own_reader"]


@pytest.mark.parametrize("kind", ["structure", "update", "lr", "branch", "figure", "log", "rewind", "dataset"])
def test_what_a_component_returns_is_looked_at(kind):
    from lottery.config import blame
    from lottery.errors import UsageError

    with pytest.raises(UsageError, match=rf"test_blame.py, line \d+: {kind} own is to return .*, and returned a str"):
        blame.watched(kind, lambda: "x", f"{kind} own")()


def test_memory_that_does_not_suffice_is_no_bug():
    from lottery.config import blame

    for error in (MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")):
        assert blame.in_words(error).code == 2

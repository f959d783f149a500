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

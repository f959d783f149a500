"""Options that installed packages bring: found, chosen, recorded, without any --config-dir."""

import csv
import json
import sys

import pytest

from lottery.config import bind, packages

MODULE = """
from pathlib import Path

import torch
from torch import nn

from lottery.nets.initializers import initialize
from lottery.tasks.images.images import image_task
from lottery.tasks.images.splits import Images
from lottery.storage.store import tensor_digest


def theirs(model, mask, task, generator, density, *, power: float):
    return {name: model.get_parameter(name).detach().abs() ** power for name in mask}


class Net(nn.Module):
    def __init__(self, shape, width, outputs):
        super().__init__()
        self.hidden = nn.Linear(shape[0] * shape[1] * shape[2], width)
        self.fc = nn.Linear(width, outputs)

    def forward(self, x):
        return self.fc(torch.relu(self.hidden(x.flatten(1))))


def net(task, *, width: int):
    model = Net(task.input_shape, width, task.outputs)
    initialize(model, "xavier_normal", bn_scale="ones")
    return model


def data(root, *, validation: int, mean: list[float], std: list[float]):
    draw = torch.Generator().manual_seed(0)
    made = []
    for number in (60, 20):
        labels = torch.arange(number) % 2
        pixels = torch.randint(0, 200, (number, 1, 4, 4), generator=draw) + 55 * labels.view(-1, 1, 1, 1)
        made.append(Images(pixels.to(torch.uint8), labels))
    options = {"validation": validation, "mean": mean, "std": std, "split_seed": 0, "subsample": 0,
               "label_noise": 0.0, "crop": 0, "flip": False, "cutout": 0}
    return image_task(*made, tensor_digest({"train": made[0].pixels}), 2, options)
"""
POINTS = """[lottery.conf]
theirs = theirs
[lottery.criterion]
theirs = theirs.parts:theirs
[lottery.model]
theirs = theirs.parts:net
[lottery.dataset]
theirs = theirs.parts:data
"""


def install(site, name, files, points):
    """Lay a package down as pip would: its files, and what says which entry points it has."""
    about = site / f"{name}-0.3.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3\n")
    (about / "entry_points.txt").write_text(points)
    for path, text in files.items():
        (site / name / path).parent.mkdir(parents=True, exist_ok=True)
        (site / name / path).write_text(text)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Install a package with a criterion, a model, a data set and a recipe; return its place."""
    from lottery.config.defaults import conf_dir

    place = tmp_path / "site"
    recipe = (conf_dir() / "train" / "digits.yaml").read_text()
    row = (conf_dir() / "prune" / "random.yaml").read_text()
    row = row.replace("{name: random}", "{name: theirs, power: 1.0}").replace("0it", "end")
    files = {
        "__init__.py": "raise RuntimeError('imported before anything of it was chosen')\n",
        "conf/prune/theirs.yaml": row,
        "conf/model/theirs.yaml": "# A net of theirs.\nname: theirs\nwidth: 5\n",
        "conf/dataset/theirs.yaml": "name: theirs\nvalidation: 12\nmean: [0.5]\nstd: [0.25]\n",
        "conf/train/theirs.yaml": recipe,
    }
    install(place, "theirs", files, POINTS)
    monkeypatch.syspath_prepend(str(place))
    yield place
    for name in [name for name in sys.modules if name.partition(".")[0] == "theirs"]:
        del sys.modules[name]


@pytest.fixture
def chosen(site):
    """Let the package be imported, as it is when something of it is chosen."""
    (site / "theirs" / "__init__.py").write_text("")
    (site / "theirs" / "parts.py").write_text(MODULE)
    return ["prune=theirs", "model=theirs", "dataset=theirs", "host.threads=1", "levels=1",
            "train.length=2ep", "train.batch_size=12", "host.progress=none"]  # fmt: skip


def test_what_a_package_brings_is_typed_like_our_own(chosen, lottery, tmp_path, capsys):
    assert lottery("run", *chosen) == 0
    assert "2 trained" in capsys.readouterr().out
    (folder,) = tmp_path.glob("outputs/theirs_theirs_theirs/*/replicate_0")
    record = json.loads((folder / "run.json").read_text())
    assert record["packages"] == ["theirs 0.3"]
    assert lottery("run", *chosen) == 0  # again: it goes on
    assert "2 already there" in capsys.readouterr().out
    assert lottery("ls", "prune=theirs") == 0
    assert "theirs" in capsys.readouterr().out
    assert lottery("show", "prune=theirs") == 0
    shown = capsys.readouterr().out
    assert "packages    theirs 0.3" in shown
    assert "model.width" not in shown  # the default is known: it is their yaml's
    assert "--config-dir" not in shown
    assert lottery("branch", folder, "branch=reinit") == 0
    assert lottery("report", "prune=theirs", "to=a.html") == 0
    assert lottery("export", folder, "level=1", "to=ticket.safetensors") == 0
    assert lottery("plan", *chosen, "time=no") == 0
    assert "already there" in capsys.readouterr().out
    rows = list(csv.DictReader((folder / "branches.csv").read_text().splitlines()))
    assert rows[0]["branch"] == "reinit"


def test_nothing_is_imported_until_it_is_chosen(site, lottery, capsys):
    assert lottery("run", "--help") == 0
    said = capsys.readouterr().out
    assert "theirs" in said[said.index("  model:") : said.index("  prune:")]
    assert lottery("run", "--cfg", "job", "model=theirs", "prune=theirs") == 0
    assert "width: 5" in capsys.readouterr().out
    assert lottery("run", "model=thiers") == 2
    assert "did you mean 'theirs'" in capsys.readouterr().err
    assert not [name for name in sys.modules if name.partition(".")[0] == "theirs"]


def test_two_packages_with_one_option_are_refused_by_name_where_it_is_chosen(site, lottery, capsys):
    install(site, "others", {"__init__.py": "", "conf/model/theirs.yaml": "name: theirs\nwidth: 3\n"},
            "[lottery.conf]\nothers = others\n")  # fmt: skip
    assert [p.name for p in packages.packages()] == ["others", "theirs"]
    assert lottery("run", "model=theirs") == 2
    line = capsys.readouterr().err
    assert line == (
        "lottery: config: model=theirs is brought by the packages others and theirs; uninstall one "
        "of them: pip uninstall theirs\n"
    )
    assert lottery("run", "--cfg", "job") == 0  # nobody else is disturbed


def test_an_option_of_ours_that_hides_one_of_a_package_is_said_where_it_is_chosen(site, lottery, capsys):
    (site / "theirs" / "conf" / "model" / "lenet5.yaml").write_text("name: theirs\nwidth: 3\n")
    assert lottery("run", "--cfg", "job") == 0
    assert "theirs" not in capsys.readouterr().err
    assert lottery("run", "--cfg", "job", "model=lenet5") == 0
    said = capsys.readouterr()
    assert "name: lenet5" in said.out
    assert said.err.count("that of the package theirs is not used") == 1


def test_settings_of_a_package_are_known_by_their_last_part(site, lottery, capsys):
    assert lottery("run", "--cfg", "job", "model=theirs", "width=7") == 0
    assert "width: 7" in capsys.readouterr().out


def test_packages_are_looked_for_once(site, lottery, monkeypatch, capsys):
    asked, real = [], packages.entries

    def entries(group):
        asked.append(group)
        return real(group)

    packages.installed.cache_clear()
    monkeypatch.setattr(packages, "entries", entries)
    assert lottery("ls") == 0
    assert packages.GROUP not in asked
    for _ in range(2):
        assert lottery("run", "--cfg", "job") == 0
    assert asked.count(packages.GROUP) == 1


@pytest.mark.parametrize("broken", [b"garbage\n=\n[lottery.model]\nnot an entry\n[", b"[lottery.model]\n\xff = a:b\n"])
def test_a_package_whose_entry_points_cannot_be_read_takes_none_of_the_others(broken, site, lottery, monkeypatch, capsys, tmp_path):
    about = tmp_path / "broken" / "broken-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_bytes(broken)
    before = packages.readable()
    monkeypatch.syspath_prepend(str(about.parent))
    packages.installed.cache_clear()
    packages.on_path.cache_clear()
    with pytest.warns(UserWarning, match="broken-1.0.dist-info: its entry points cannot be read .*install it again"):
        assert {e.name for e in packages.readable()} == {e.name for e in before}
    packages.on_path.cache_clear()
    with pytest.warns(UserWarning, match="broken-1.0"):
        assert packages.packages()
    for line in ("ls", "run --cfg job", "run zzz=1"):
        assert lottery(*line.split()) in (0, 2)
        assert "bug" not in capsys.readouterr().err
    packages.installed.cache_clear()


def test_a_package_that_leads_nowhere_breaks_nothing(tmp_path, monkeypatch, lottery, capsys):
    place = tmp_path / "site"
    install(place, "stale", {}, "[lottery.conf]\na = no_such_module\nb = stale\nc = json\n")
    install(place, "empty", {"__init__.py": ""}, "[lottery.conf]\nempty = empty\n")
    monkeypatch.syspath_prepend(str(place))
    assert packages.packages() == []
    assert lottery("run", "--cfg", "job") == 0


def test_a_config_of_a_package_runs_no_code(site, lottery, capsys):
    evil = site / "theirs" / "conf" / "model" / "evil.yaml"
    evil.write_text("name: theirs\nhydra: {callbacks: {x: {_target_: os.system}}}\n")
    assert lottery("run", "model=evil") == 2
    assert "hydra.callbacks" in capsys.readouterr().err


@pytest.mark.filterwarnings("always")
def test_a_component_called_as_one_of_ours_is_announced(site, chosen, lottery, tmp_path, capsys):
    install(site, "twin", {"__init__.py": ""}, "[lottery.model]\nlenet5 = twin:net\n")
    words = ["dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", "levels=0",
             "dataset.validation=0", "train.length=1ep", "host.threads=1", "host.progress=none"]  # fmt: skip
    bind.namesakes.cache_clear()
    assert lottery("run", "model=lenet5", *words) == 0
    said = capsys.readouterr().err
    assert "model: 'lenet5' is lottery's own; that of the package twin is not used" in said
    assert said.count("twin") == 1
    assert lottery("run", "model=lenet_300_100", *words) == 0
    assert "twin" not in capsys.readouterr().err

"""The wheel: what is in it, and that it works where there is no checkout."""

import csv
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
TINY = [
    "dataset=synthetic", "model=lenet_300_100", "levels=1", "train.length=3it",
    "evaluate_every=3it", "host.threads=1",
]  # fmt: skip


def call(*command, cwd):
    """Run a command that knows nothing of this environment; return what it printed."""
    env = {"PATH": os.defpath, "HOME": str(cwd), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    call(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT,
        cwd=folder,
    )
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def venv(wheel, tmp_path_factory):
    """Return a venv with the wheel in it, which borrows the dependencies of this environment."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    call(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    call(*pip, "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder.parent)
    (site,) = folder.glob("lib/python*/site-packages")
    # A folder named in a .pth file has its own .pth files ignored, the editable checkout's too.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.mark.slow
def test_wheel_holds_configs_and_data_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    assert {
        "lottery/conf/run.yaml",
        "lottery/components/datasets/data/digits.safetensors",
        "lottery/components/datasets/data/README.md",
        "lottery/components/criteria/magnitude.py",
        "lottery/results/reports/templates/report.html",
        "lottery/results/reports/templates/parts.html",
        "lottery/results/reports/templates/report.css",
        "lottery/results/reports/templates/report.js",
        "lottery/results/reports/templates/watch.html",
        "lottery/results/reports/templates/watch.css",
        "lottery/results/reports/templates/watch.js",
        "lottery/results/reports/templates/watch_curves.js",
    } <= names
    yamls = {f"lottery/conf/{p.relative_to(ROOT / 'conf')}" for p in ROOT.glob("conf/**/*.yaml")}
    assert yamls <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lottery"}
    assert not [name for name in names if "test" in name or "__pycache__" in name]


@pytest.mark.slow
def test_installed_wheel_is_what_is_imported(venv, tmp_path):
    place = call(
        venv / "bin" / "python", "-c", "import lottery; print(lottery.__file__)", cwd=tmp_path
    )
    assert Path(place.strip()).is_relative_to(venv)


@pytest.mark.slow
def test_installed_command_lists_composes_and_runs(venv, tmp_path):
    lottery = venv / "bin" / "lottery"
    assert "lottery run" in call(lottery, cwd=tmp_path)
    assert "criterion" in call(lottery, "run", "--cfg", "job", cwd=tmp_path)
    call(lottery, "run", *TINY, cwd=tmp_path)
    (metrics,) = tmp_path.glob("outputs/*/*/replicate_0/metrics.csv")
    with metrics.open(newline="") as file:
        assert [row["level"] for row in csv.DictReader(file)] == ["0", "1"]


def test_module_prints_the_commands(tmp_path):
    printed = call(sys.executable, "-m", "lottery", cwd=tmp_path)
    commands = {p.stem for p in (ROOT / "lottery" / "commands").glob("*.py")} - {"__init__"}
    listed = {line.split()[0] for line in printed.splitlines() if line.startswith("  ")}
    assert commands <= listed


def test_command_line_imports_nothing_heavy(tmp_path):
    printed = call(
        sys.executable, "-c", "import sys, lottery.cli; print(*sorted(sys.modules))", cwd=tmp_path
    )
    assert not {"torch", "torchvision", "hydra", "omegaconf", "pandas"} & set(printed.split())


@pytest.mark.parametrize(("torch", "torchvision"), [("2.11.0", "0.26.0"), ("2.13.0", "0.28.0")])
def test_ranges_admit_both_pairs(torch, torchvision):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    assert torch in ranges["torch"]
    assert f"{torch}+cpu" in ranges["torch"]
    assert torchvision in ranges["torchvision"]


def test_constraints_lie_in_the_ranges():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints-cpu.txt").read_text().splitlines()
    fixed = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    for requirement in map(Requirement, wanted):
        own = requirement.name == project["name"]  # an extra that takes in others
        assert own or fixed[requirement.name] in requirement.specifier, requirement.name

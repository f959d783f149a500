"""The soak in short, and what it would complain of."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "soak.py"


@pytest.fixture(scope="module")
def soak():
    spec = importlib.util.spec_from_file_location("soak", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module  # where typing looks for it
    spec.loader.exec_module(module)
    yield module
    del sys.modules["soak"]


@pytest.fixture
def looks(soak):
    """Return ten looks at something that does not grow, with some of their values changed."""

    def call(**changes):
        steady = soak.Look(0, 300.0, 1000, 5, 2, 0, 0.5, 5.0)
        found = [steady._replace(levels=levels) for levels in range(50, 550, 50)]
        for name, (begin, value) in changes.items():
            found = [x._replace(**{name: value}) if x.levels >= begin else x for x in found]
        return found

    return call


@pytest.mark.slow
def test_thirty_levels_leave_nothing_behind(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, "30", tmp_path / "soak"],
        capture_output=True, text=True, timeout=900, check=False, cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing grew." in done.stdout
    cells = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line[:3] in ("| 1", "| 2", "| 3")]
    assert [row[0] for row in cells] == ["10", "20", "30"]
    objects = [int(row[2].replace(",", "")) for row in cells]
    assert objects[-1] < 1.05 * objects[0]
    assert len({(*row[3:6],) for row in cells}) == 1
    assert len([*tmp_path.glob("soak/outputs/store/*/manifest.json")]) == 30
    assert not (tmp_path / "benchmarks").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, ""), ({"memory": (50, 400.0)}, ""), ({"memory": (300, 305.0)}, ""),
     ({"memory": (300, 320.0)}, "memory grew"), ({"objects": (400, 1100)}, "objects grew"),
     ({"files": (500, 6)}, "files did not stay"), ({"threads": (300, 3)}, "threads did not stay"),
     ({"temporary": (50, 1)}, "temporary did not stay"), ({"per_level": (500, 5.4)}, "kB a level")],
)  # fmt: skip
def test_what_grows_is_complained_of(soak, looks, tmp_path, changes, said):
    found = soak.complaints(looks(**changes), tmp_path)
    assert len(found) == bool(said)
    assert said in "".join(found)


def test_a_file_too_many_in_one_level_is_complained_of(soak, looks, tmp_path):
    for key in ("a", "b", "c"):
        (tmp_path / "outputs" / "store" / key).mkdir(parents=True)
        (tmp_path / "outputs" / "store" / key / "end.safetensors").touch()
    assert soak.complaints(looks(), tmp_path) == []
    (tmp_path / "outputs" / "store" / "b" / "checkpoint-5").touch()
    assert soak.complaints(looks(), tmp_path) == ["not every level has the same files: checkpoint-5"]

"""Every script runs to its end on a small setting, and writes what its head says."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))


def test_of_each_script_there_is_a_run():
    runs = {name.removeprefix("test_run_") for name in globals() if name.startswith("test_run_")}
    assert runs == {path.stem for path in SCRIPTS}


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Return a script as a module, which writes below tmp_path."""
    monkeypatch.chdir(tmp_path)

    def load(name):
        spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)  # where typing looks for it
        spec.loader.exec_module(module)
        return module

    yield load
    torch.set_flush_denormal(False)


@pytest.fixture
def own_process(tmp_path):
    """Run a script in a process of its own, in tmp_path; return what it printed."""

    def call(name, *words):
        done = subprocess.run(
            [sys.executable, ROOT / "scripts" / f"{name}.py", *map(str, words)],
            cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=600,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def rows(path):
    """Return the cells of a table under benchmarks/, without its head."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[1:]]


@pytest.mark.parametrize("case", [0, pytest.param(1, marks=pytest.mark.slow)])  # Adam, SGD
def test_run_benchmark(script, tmp_path, monkeypatch, case):
    module = script("benchmark")
    name, (*words, _, augment, _) = list(module.CASES.items())[case]
    monkeypatch.setattr(module, "CASES", {name: (*words, 300, augment, 1)})
    module.main(1)
    (row,) = rows(tmp_path / "benchmarks" / "speed.md")
    assert row[0] == name
    assert all(float(cell.replace(",", "")) > 0 for cell in row[2:4])


@pytest.mark.parametrize(("limit", "code"), [(1e9, 0), (0.0, 1)])
def test_run_benchmark_checkpoints(script, tmp_path, monkeypatch, limit, code):
    module = script("benchmark_checkpoints")
    name, words = next(iter(module.CASES.items()))
    monkeypatch.setattr(module, "CASES", {name: words})
    monkeypatch.setattr(module, "TURN", 0.02)
    monkeypatch.setattr(module, "LIMIT", limit)
    assert module.main(1) == code
    assert [row[0] for row in rows(tmp_path / "benchmarks" / "checkpoints.md")] == [name]
    assert [p.name for p in tmp_path.iterdir()] == ["benchmarks"]  # its checkpoints are gone


@pytest.mark.slow
def test_the_other_nets_of_the_checkpoints_run(script, tmp_path, monkeypatch):
    module = script("benchmark_checkpoints")
    monkeypatch.setattr(module, "TURN", 0.02)
    monkeypatch.setattr(module, "LIMIT", 1e9)
    assert module.main(1) == 0
    assert len(rows(tmp_path / "benchmarks" / "checkpoints.md")) == len(module.CASES)


@pytest.mark.slow
def test_run_benchmark_selection(own_process, tmp_path):
    own_process("benchmark_selection", 80_000)
    found = [row[0] for row in rows(tmp_path / "benchmarks" / "selection.md")]
    assert found[0] == "80,000 scores in 8 layers, a tenth kept"
    assert [name[:9] for name in found[1:]] == ["magnitude", "50,000,00", "the same,"]


def test_small_cases_of_the_selection_run(script):
    module = script("benchmark_selection")
    for case in ("billion", "naive"):
        for row in module.child(case, 800):
            assert len(row["seconds"]) == module.TURNS


def test_run_methods(script, tmp_path, monkeypatch):
    module = script("methods")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/methods.md", "docs/options.md"):
        before, mark, after = (ROOT / name).read_text().partition("python scripts/methods.py -->\n")
        (tmp_path / name).write_text(f"{before}{mark}an old line\n{after}")
    assert module.main(["--check"]) == 1
    assert module.main([]) == 0
    for name in ("README.md", "docs/methods.md", "docs/options.md"):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text()


def test_run_reproduce_lth_lenet(run, script, tmp_path, capsys):
    run("name=lth_lenet_mnist", "branch=[reinit,shuffle]", "levels=1")
    capsys.readouterr()
    script("reproduce_lth_lenet").main(tmp_path / "outputs", tmp_path / "made")
    assert sorted(p.suffix for p in (tmp_path / "made").iterdir()) == [".csv", ".md", ".png"]
    assert [row[1] for row in rows(tmp_path / "made" / "lth_lenet_mnist.md")] == [
        "dense", "reinit", "shuffle", "ticket"]  # fmt: skip
    assert capsys.readouterr().out.startswith("| kept % | ticket: acc. |")


@pytest.mark.slow
def test_run_reproduce_missing_the_mark(run, script, tmp_path, capsys):
    module = script("reproduce_missing_the_mark")
    for prune, rewind in module.METHODS:
        for replicate in (0, 1):
            run(f"name=missing_the_mark_digits_{prune}", f"prune={prune}", f"rewind={rewind}",
                f"replicate={replicate}", "branch=[shuffle,random,reinit]", "levels=1")  # fmt: skip
    capsys.readouterr()
    module.main("digits", tmp_path / "outputs", tmp_path / "made")
    assert sorted(p.suffix for p in (tmp_path / "made").iterdir()) == [".csv", ".md", ".png"]
    said = capsys.readouterr().out
    assert all(f"| {method} |" in said for method in module.METHODS.values())


@pytest.mark.slow
def test_run_soak(own_process, tmp_path):
    assert "Nothing grew." in own_process("soak", 10, tmp_path / "kept")
    assert [p.name for p in (tmp_path / "kept").iterdir()] == ["outputs", "temporary"]


@pytest.mark.slow
def test_run_benchmark_sweep(script, tmp_path, monkeypatch, tiny):
    module = script("benchmark_sweep")
    monkeypatch.setattr(module, "CASES", {"two jobs": ["replicate=0,1"]})
    monkeypatch.setattr(module, "SHARED", [*tiny, "host.threads=1", "host.progress=none", "levels=1"])
    assert module.main(1) == 0
    (row,) = rows(tmp_path / "benchmarks" / "sweeps.md")
    assert row[0] == "two jobs" and row[-1].endswith(", all the same")

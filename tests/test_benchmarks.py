"""The tables under benchmarks/ say what today's rules make of the numbers that are committed there."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def script(path):
    """Return a script as a module, without running it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_scripts_find_what_they_import(path):
    assert callable(script(path).main)


@pytest.mark.parametrize("data", ["digits", "mnist"])
def test_missing_the_mark_is_judged_by_the_rule_of_today(data, tmp_path, monkeypatch, capsys):
    module = script(ROOT / "scripts" / "reproduce_missing_the_mark.py")
    monkeypatch.setattr(module, "draw", lambda rows, path: None)
    for kind in ("csv", "md"):
        shutil.copy(ROOT / "benchmarks" / f"missing_the_mark_{data}.{kind}", tmp_path)
    module.main(data, tmp_path / f"missing_the_mark_{data}.csv", tmp_path / "new")
    made = (tmp_path / "new" / f"missing_the_mark_{data}.md").read_text()
    assert made == (ROOT / "benchmarks" / f"missing_the_mark_{data}.md").read_text()
    assert "Holm over 6 levels of each method" in made


def test_tables_of_lenet_are_those_of_the_numbers_beside_them():
    module = script(ROOT / "scripts" / "reproduce_lth_lenet.py")
    table = module.summary(module.pd.read_csv(ROOT / "benchmarks" / "lth_lenet_mnist.csv"))
    assert module.markdown(table) == (ROOT / "benchmarks" / "lth_lenet_mnist.md").read_text()
    shown = (ROOT / "benchmarks" / "README.md").read_text()
    assert module.compact(table) in shown

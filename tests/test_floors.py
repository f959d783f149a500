"""Imports point down only (the floors of CONTRIBUTING.md), read off the syntax trees."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lottery"
FLOORS = [  # a folder stands for every file in it but those that are named with it
    ["errors", "spelling", "synonyms", "typed", "seeds", "step", "selection", "momentum", "copying", "prunable", "mask", "task", "units", "parts", "signals", "pause", "snapshots",
     "wording", "warned", "telling", "formats", "identity", "source_hash", "stats", "nets.initializers", "plotting.source",
     "storage.files", "storage.yamls", "storage.tables", "storage.records", "storage.disk", "storage.claims", "watching.pulse", "watching.sweep"],
    ["storage", "pixels", "environment", "memory", "effort", "narrowing", "named", "scoring", "search", "regrow", "glimpse",
     "watching", "plotting", "nets", "exchange"],
    ["models", "datasets", "criteria", "structures", "allocations", "updates", "schedules",
     "rewinds", "branches", "optimizers", "lrs", "loggers", "figures"],
    ["loop", "resume", "train", "live", "prune", "monitor", "runs", "states", "outcome", "levels", "lineage", "cost", "rows",
     "looking", "foresight", "upkeep", "plotting.material", "watching.logbook",
     "nets.sizes", "exchange.forms", "exchange.exports"],
    ["experiment", "checks", "timetable"],
    ["cli", "commands", "answers", "__main__", "config", "skeleton", "components", "complaints", "composing", "interpolation", "sources", "sweeping", "blame", "jobs", "launch", "recording",
     "opening", "reopen", "notebook", "reports", "plotting.drawing", "nets.measuring", "foresight.plans",
     "looking.defaults", "looking.settings", "looking.retyped", "looking.sections"],
]  # fmt: skip
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
LEAVES = set(FLOORS[2])
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def floor(name):
    """Return the floor of a module: its own, or else that of its folder."""
    first, _, rest = name.partition(".")
    own = f"{first}.{rest.split('.')[0]}"
    return FLOOR[own] if own in FLOOR else FLOOR.get(first)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
    assert floor(own) is not None, f"{own} is on no floor: enter it in FLOORS and in CONTRIBUTING.md"
    for name in imports(path):
        first, _, rest = name.partition(".")
        if first == "lottery" and rest and not rest.startswith("__"):
            assert floor(rest) <= floor(own), f"{path} imports {name} from a higher floor"
            here, there = (n.split(".")[0] for n in (own, rest))
            assert not (here in LEAVES and there in LEAVES), f"{path}: one leaf imports another"
        if first in ("hydra", "omegaconf"):
            assert floor(own) == len(FLOORS) - 1, f"{path}: {first} lives on the top floor only"


def test_every_floor_names_what_is_there():
    for name in FLOOR:
        path = PACKAGE / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists(), f"{name} is gone: strike it off FLOORS"


@pytest.mark.parametrize("word", ["utils", "core", "common", "base", "manager", "helper"])
def test_no_file_is_named_for_nothing(word):
    assert not [p for p in FILES if word in p.stem.split("_")]


def test_the_product_imports_nothing_from_scripts():
    assert not [p for p in FILES for name in imports(p) if name.split(".")[0] in ("scripts", "tests")]

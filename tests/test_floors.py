"""Imports point down only (the floors of CONTRIBUTING.md), read off the syntax trees."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lottery"
FLOORS = [
    ["errors", "seeds", "step", "selection", "mask", "task", "initializers", "units", "parts",
     "signals", "tables", "formats", "wording", "files", "yamls", "identity", "records", "pause", "snapshots", "stats", "source", "pulse", "sweep"],
    ["disk", "locks", "links", "store", "checkpoints", "ledger", "memory", "environment", "archives", "layouts", "images", "cache", "downloads", "folders", "streams", "progress", "boards", "scoring", "search",
     "labels", "tickets", "finding", "transfer", "cards", "foreign", "matching", "charts", "trends", "graph", "channels", "compact", "counting", "latency", "twofour", "regrow", "glimpse"],
    ["models", "datasets", "criteria", "structures", "allocations", "updates", "schedules",
     "rewinds", "branches", "optimizers", "lrs", "loggers", "figures"],
    ["loop", "resume", "train", "live", "prune", "monitor", "runs", "states", "outcome", "levels", "lineage", "cost", "rows", "results", "tidy", "material", "facts", "choice", "comparison", "origins",
     "sanity", "space", "timing", "forecast", "planning", "sizes", "health", "inventory", "garbage", "differences", "forms", "exports", "replays", "logbook"],
    ["experiment", "checks"],
    ["skeleton", "defaults", "sections", "components", "drawing", "reports", "config", "complaints", "composing", "jobs", "plans", "notebook", "opening", "launch", "reopen", "measuring", "cli", "commands", "__main__"],
]  # fmt: skip
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
LEAVES = set(FLOORS[2])
TOP = set(FLOORS[5])
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            names = [a.name for a in node.names] if node.module == "lottery" else [""]
            yield from (f"{node.module}.{name}".rstrip(".") for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = part(path)
    assert own in FLOOR, f"{own} is on no floor: enter it in FLOORS and in CONTRIBUTING.md"
    for name in imports(path):
        first, _, rest = name.partition(".")
        if first == "lottery" and rest and not rest.startswith("__"):
            other = rest.split(".")[0]
            assert FLOOR[other] <= FLOOR[own], f"{path} imports {name} from a higher floor"
            assert not (own in LEAVES and other in LEAVES), f"{path}: one leaf imports another"
        if first in ("hydra", "omegaconf"):
            assert own in TOP, f"{path}: {first} lives on the top floor only"


@pytest.mark.parametrize("word", ["utils", "core", "common", "base", "manager", "helper"])
def test_no_file_is_named_for_nothing(word):
    assert not [p for p in FILES if word in p.stem.split("_")]


def test_the_product_imports_nothing_from_scripts():
    assert not [p for p in FILES for name in imports(p) if name.split(".")[0] in ("scripts", "tests")]

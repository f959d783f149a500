"""Imports point down the floors of CONTRIBUTING.md, and never in a circle: read off the syntax trees."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lottery"
FLOORS = [  # from the ground up; of one floor's folders the right one may import those left of its <
    "errors < wording",
    "machine < storage < terms",
    "config tasks nets pruning progress",
    "training results",
    "experiment",
    "planning exchange queues search upkeep",
    "components",
    "commands < cli",
]
FACE = {"__init__", "__main__"}  # above all
FILES = sorted(PACKAGE.rglob("*.py"))


def module(path):
    name = path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


MODULES = {module(path): path for path in FILES}


def room(name):
    """Return the folder or file of lottery/ that a module is, or lies in; its own name for the face."""
    return (name.split(".") + ["__init__"])[1]


def allowed():
    """Return room -> the rooms that it may import."""
    below, found = set(), {}
    for floor in FLOORS:
        here = floor.split()
        for at, name in enumerate(here):
            if name != "<":
                left = here[:at][::-1]
                chain = set(left) - {"<"} if "<" in here else set()
                found[name] = below | chain | {name}
        below |= set(here) - {"<"}
    return found | dict.fromkeys(FACE, below | FACE)


ALLOWED = allowed()


def imports(path):
    """Yield the names that a file imports, modules of ours as far as they are such."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_floors_are_what_they_say():
    assert ALLOWED["terms"] == {"errors", "wording", "machine", "storage", "terms"}
    assert ALLOWED["machine"] == {"errors", "wording", "machine"}
    assert ALLOWED["nets"] == {"errors", "wording", "machine", "storage", "terms", "nets"}
    assert "commands" in ALLOWED["cli"] and "cli" not in ALLOWED["commands"]


def test_every_room_is_on_a_floor_and_every_floor_has_rooms():
    there = {room(name) for name in MODULES}
    assert there == set(ALLOWED), there ^ set(ALLOWED)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name):
    here = room(name)
    for other in imports(MODULES[name]):
        first = other.split(".")[0]
        if first == "lottery":
            there = room(other)
            assert there in ALLOWED[here], f"{name} imports {other}, which is on no floor below it"
            kind = name.split(".")[:3]
            # found by name: nobody imports a component, one of a kind never another kind's
            assert there != "components" or other.split(".")[:3] == kind, f"{name} imports {other}"
        if first in ("hydra", "omegaconf"):
            assert here == "config", f"{name}: {first} lives in config/ only"


def test_no_import_goes_in_a_circle():
    above, done = [], set()

    def visit(name):
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            above.append(name)
            for other in set(imports(MODULES[name])) - {name}:
                if other in MODULES:
                    visit(other)
            done.add(above.pop())

    for name in MODULES:
        visit(name)


@pytest.mark.parametrize("word", ["utils", "core", "common", "base", "manager", "helper"])
def test_no_file_is_named_for_nothing(word):
    assert not [p for p in FILES if word in p.stem.split("_")]


def test_the_product_imports_nothing_from_scripts():
    assert not [p for p in FILES for name in imports(p) if name.split(".")[0] in ("scripts", "tests")]

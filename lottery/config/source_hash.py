"""Hash the source of a component that another package brings, with what of its own it imports.

Its own are the modules of its top-level package, those that lie beside that where nobody else has
installed any there, and all that its distribution names. What it builds, loads or imports by a
name made on the way is not seen.
"""

import ast
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

UNREADABLE = ""  # in place of a hash
OWN = "lottery"  # our own code is no part of a key: a change that moves numbers raises FORMAT
HASHES: dict[int, tuple[object, str]] = {}  # of what was loaded: an edit since is not yet at work


def source_of(function: Callable[..., Any], entry: Any) -> str:
    """Return the sha256 of the source of a loaded component; UNREADABLE where there is none.

    It is that of the first time in this process, when the code was loaded.
    """
    if id(function) not in HASHES:
        named = str(getattr(entry, "value", "")).partition(":")[0]
        own = getattr(getattr(function, "func", function), "__module__", None)
        modules = [name for name in dict.fromkeys((own, named)) if name]
        HASHES[id(function)] = (function, hash_of(modules, entry))
    return HASHES[id(function)][1]


def hash_of(modules: list[str], entry: Any) -> str:
    """Return the sha256 over modules and what of their own they import."""
    found: dict[str, str] = {}
    for module in modules:
        found |= Package(module, entry).hashes()
    return hashlib.sha256(json.dumps(sorted(found.items())).encode()).hexdigest() if found else ""


class Package:
    """Where a component's module lies, and what belongs to it."""

    def __init__(self, module: str, entry: Any) -> None:
        self.module, self.entry = module, entry
        self.top = module.partition(".")[0]
        self.specs: dict[str, ModuleSpec | None] = {}

    def hashes(self) -> dict[str, str]:
        """Return module -> sha256 of its file, for the module and all of its own that it needs."""
        found: dict[str, str] = {}
        left, known = [self.module], {self.module}
        while left:
            name = left.pop()
            place = self.place(name)
            data = None if place is None else content(place, self.spec(name.partition(".")[0]))
            if data is None:
                continue
            found[name] = hashlib.sha256(data).hexdigest()
            package = name if Path(str(place)).stem == "__init__" else name.rpartition(".")[0]
            for wanted in imports(data, package):
                parts = wanted.split(".")
                names = {".".join(parts[: end + 1]) for end in range(len(parts))} - known
                known |= names
                left += [each for each in names if self.owns(each.partition(".")[0])]
        return found

    def owns(self, top: str) -> bool:
        """Say whether a top-level module belongs to the component's own."""
        if top == self.top or top in self.named:
            return top != OWN
        if not self.alone:
            return False
        spec = self.spec(top)
        return spec is not None and base(spec) == self.base

    @cached_property
    def base(self) -> Path | None:
        spec = self.spec(self.top)
        return None if spec is None else base(spec)

    @cached_property
    def named(self) -> set[str]:
        """The top-level modules that the distribution of the entry point names."""
        files = getattr(getattr(self.entry, "dist", None), "files", None) or ()
        code = [file.parts[0] for file in files if file.suffix == ".py"]
        return {part.removesuffix(".py") for part in code}

    @cached_property
    def alone(self) -> bool:
        """Whether at most one distribution is installed where the component lies."""
        return self.base is not None and len(list(self.base.glob("*.dist-info"))) <= 1

    def spec(self, top: str) -> ModuleSpec | None:
        """Return where a top-level module is found; nothing is imported."""
        if top not in self.specs:
            try:
                self.specs[top] = importlib.util.find_spec(top)
            except (ValueError, ImportError):
                self.specs[top] = None
        return self.specs[top]

    def place(self, name: str) -> str | None:
        """Return the file of one of its own modules; None where there is none."""
        top, *parts = name.split(".")
        spec = self.spec(top)
        if spec is None or top == OWN:
            return None
        if not parts:
            return spec.origin if spec.has_location else None
        for folder in spec.submodule_search_locations or ():
            stem = Path(folder, *parts)
            for path in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")):
                if path.is_file():
                    return str(path)
        return None


def base(spec: ModuleSpec) -> Path | None:
    """Return the folder that a top-level module or package lies in."""
    for folder in spec.submodule_search_locations or ():
        return Path(folder).parent
    return Path(spec.origin).parent if spec.has_location and spec.origin else None


def content(place: str, spec: ModuleSpec | None) -> bytes | None:
    """Return the bytes of a module's file, in an archive too; None where they cannot be read."""
    try:
        return Path(place).read_bytes()
    except OSError:
        pass
    try:
        return bytes(spec.loader.get_data(place))  # type: ignore[union-attr]
    except (AttributeError, OSError):
        return None


def imports(data: bytes, package: str) -> Iterator[str]:
    """Yield the names of all that a source may import; nothing for what is no source."""
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError):  # a compiled module
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".") if node.level else []
            start = above[: len(above) - node.level + 1] + ([node.module] if node.module else [])
            yield from (".".join([*start, alias.name]) for alias in node.names)

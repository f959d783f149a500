"""Find the options that installed packages bring: yaml files, by entry points of `lottery.conf`.

`[project.entry-points."lottery.conf"] theirs = "theirs"` adds the folder theirs/conf. Nothing of a
package is imported here.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP, FOLDER = "lottery.conf", "conf"


@dataclass(frozen=True)
class Package:
    """An installed package that brings options."""

    name: str  # of its distribution
    version: str
    folder: Path  # of folders of yaml files, named for their groups


def packages() -> list[Package]:
    """Return the packages that bring options, by name; one whose folder is not there is none."""
    return list(installed(tuple(sys.path)))


@functools.cache
def installed(path: tuple[str, ...]) -> tuple[Package, ...]:
    """Return the packages on a path for modules: looked for once, as all that is there is read."""
    found: dict[Path, Package] = {}
    for entry in sorted(entries(GROUP), key=lambda e: e.dist.name if e.dist else ""):
        if (folder := folder_of(entry.module)) and entry.dist:
            found.setdefault(folder, Package(entry.dist.name, entry.dist.version, folder))
    return tuple(found.values())


def folder_of(module: str) -> Path | None:
    """Return the folder conf of a package; None where there is none. Imports nothing."""
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    roots = spec.submodule_search_locations if spec else None
    places = [Path(root, *inner, FOLDER) for root in roots or ()]
    return next((place for place in places if place.is_dir()), None)


def entries(group: str) -> list[EntryPoint]:
    """Return the entry points of a group; a package whose own cannot be read has none."""
    return [entry for entry in readable() if entry.group == group]


def readable() -> list[EntryPoint]:
    """Return all entry points there are."""
    return list(on_path(tuple(sys.path)))


@functools.cache
def on_path(path: tuple[str, ...]) -> list[EntryPoint]:
    """Return the entry points on a path, read once; a broken package takes none of the others.

    Python reads them in one go, and fails with the first file that is no table of entry points.
    """
    from importlib.metadata import distributions, entry_points

    try:
        there = entry_points()  # 3.11 has them by group, 3.12 in one list
        return [entry for group in there.groups for entry in there.select(group=group)]
    except Exception:  # noqa: BLE001 (whatever a broken file makes of Python's reader)
        found: list[EntryPoint] = []
    for package in distributions():
        try:
            found += package.entry_points
        except Exception as error:  # noqa: BLE001
            place = getattr(package, "_path", "?")
            warnings.warn(
                f"{place}: its entry points cannot be read ({type(error).__name__}: {error}), so "
                "it brings nothing; install it again",
                stacklevel=2,
            )
    return list(dict.fromkeys(found))


def bringing(path: str) -> list[Package]:
    """Return the packages that bring a yaml file: prune/theirs.yaml."""
    return [package for package in packages() if (package.folder / path).is_file()]


def of_options(choices: Mapping[str, str]) -> list[str]:
    """Return the packages that options come from, with their versions: theirs 0.1.0."""
    files = [f"{group}/{name}.yaml" for group, name in choices.items()]
    return [
        f"{package.name} {package.version}"
        for package in packages()
        if any((package.folder / file).is_file() for file in files)
    ]

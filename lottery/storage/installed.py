"""Find files that an installed Python package carries, without importing it."""

import importlib.util
import re
from pathlib import Path

from lottery.errors import UsageError
from lottery.wording.text import expanded

INSIDE = re.compile(r"package:([A-Za-z_]\w*)(?:/(.*))?")


def place(path: str | Path, setting: str = "path") -> Path:
    """Return the path that a setting names, ~ filled in; package:NAME/REST lies in a package.

    None of the package's code is run. Raises UsageError, with what to install, where it is missing.
    """
    inside = INSIDE.fullmatch(str(path))
    if inside is None:
        return expanded(path)
    name, rest = inside[1], inside[2] or ""
    found = importlib.util.find_spec(name)
    folders = found.submodule_search_locations if found else None
    if not folders:
        raise UsageError(
            f"{setting}={path}: the package {name} is not installed; type: pip install --no-deps "
            f"{name.replace('_', '-')}"
        )
    return Path(next(iter(folders))) / rest

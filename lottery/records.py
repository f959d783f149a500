"""Read what a run says of itself, and whether it is at work. Imports no torch."""

import json
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object; {} where the file holds none or cannot be read."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def locked(path: Path) -> bool:
    """Say whether a process holds the lock; leaves it as it is."""
    if not path.exists():
        return False
    guard = FileLock(path)
    try:
        guard.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    guard.release()
    return False


def owner(record: Path) -> str:
    """Return process and host of a run from its run.json."""
    found = read_json(record)
    if not {"pid", "host", "started"} <= found.keys():
        return "another process"
    return f"process {found['pid']} on {found['host']}"

"""Say what a pack of runs, made for a mail, has left out of an outputs folder."""

import json
from pathlib import Path

PACK = "pack.json"
WITH = ("tables", "masks", "weights")  # each has what those before have
LONGEST = 64 * 1024  # bytes of what it says


def packed(outputs: Path) -> str:
    """Return what a pack has: tables, masks or weights; "" where `outputs` is no pack."""
    path = outputs / PACK
    try:
        if not path.is_file() or path.stat().st_size > LONGEST:
            return ""
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return ""
    found = said.get("with") if isinstance(said, dict) else None
    return str(found) if found in WITH else ""


def left_out(outputs: Path, name: str) -> bool:
    """Say whether a pack has left a file of its levels out, which is then no damage."""
    return packed(outputs) in ("tables", "masks") and name.endswith(".safetensors")

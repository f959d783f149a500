"""Densities, sparsities and compressions as people type them: here they are a schedule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lottery.config.answers.said import Asked, Said, split
from lottery.config.answers.tables import plains
from lottery.wording import synonyms
from lottery.wording.spelling import plain

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
KINDS = {"REMOVED": 0, "REMOVED_EACH": 0, "KEPT": 1, "TIMES": 2, "EACH_LEVEL": 0}


def shares(asked: Asked, name: str, value: str, typed: str) -> Said | None:
    """Return the answer for a density, a sparsity or a compression; None for other words."""
    kind = next((k for k in KINDS if name in plains(getattr(synonyms, k))), None)
    if kind is None:
        return None
    kept = [density(part, KINDS[kind]) for part in split(value.strip("[]"))]
    listed = ",".join(f"{share:.6g}" for share in kept)
    keep = f"schedule.keep={kept[0]:.6g}"
    if kind == "EACH_LEVEL" and len(kept) == 1:
        if "schedule.keep" in asked.known.settings:
            return Said([keep])
        return Said(["schedule=geometric", keep], f"{typed}: the schedule keeps a share")
    words = ["schedule=listed", f"schedule.densities=[{listed}]"]
    known_share = all(share(part, KINDS[kind]) for part in split(value.strip("[]")))
    told = f"{typed}: densities are a schedule here, a level each"
    told += "" if known_share else f", {listed} say"
    if kind == "REMOVED_EACH" or plain(name) == "pruningratio":
        told += f": {' '.join(words)} (in the end) or {keep} (kept at every level)"
    return Said(words, told)


def density(text: str, kind: int) -> float:
    """Return the share that is kept, an example where the text says none."""
    return share(text, kind) or 0.1


def share(text: str, kind: int) -> float:
    """Return the share kept, where text is that removed, kept, or a compression; 0 for none."""
    match = NUMBER.fullmatch(text.strip().rstrip("%xX"))
    if not match:
        return 0.0
    number = float(match[0])
    if kind == 2:
        return 1 / number if number >= 1 else 0.0
    number = number / 100 if number > 1 or "%" in text else number
    found = 1 - number if kind == 0 else number
    return round(found, 9) if 0 < found <= 1 else 0.0


def fitted(words: Sequence[str], levels: Any) -> list[str]:
    """Return words in which the levels asked for are as many as the densities listed."""
    asked = next((w for w in reversed(words) if w.startswith("levels=")), f"levels={levels}")
    listed = next((w for w in words if w.startswith("schedule.densities=[")), "")
    count = int(asked[7:]) if asked[7:].isdigit() else 0
    densities = listed.partition("[")[2].rstrip("]").split(",")
    if not listed or "schedule=listed" not in words or count in (len(densities), 0):
        return [w for w in words if not (listed and w == "levels=0")]
    if len(densities) > 1:
        return [w for w in words if not w.startswith("levels=")] + ["levels=null"]
    keep = f"schedule.keep={float(densities[0]) ** (1 / count):.6g}"
    return [{"schedule=listed": "schedule=geometric", listed: keep}.get(w, w) for w in words]

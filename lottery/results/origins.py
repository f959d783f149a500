"""Say by which run each level of a run was trained. Imports neither torch nor pandas."""

from lottery.errors import DamagedError, DiskError
from lottery.results.facts import Facts
from lottery.results.folders import run_folders
from lottery.storage import records
from lottery.wording.text import printable

GONE = "is no more in the store"
DAMAGED = "is damaged in the store"


def origins(run: Facts) -> list[str]:
    """Return in lines which levels and branches this run trained, and whose the others are."""
    own = records.whose(run.folder)
    known = {records.whose(f): f.parent.parent.name for f in run_folders(run.folder.parents[2])}
    by: dict[str, list[str]] = {}
    for place, trainer in trainers(run).items():
        by.setdefault(trainer, []).append(place)
    lines = []
    for trainer, places in by.items():
        name = f" ({known[trainer]})" if trainer in known else ""
        what = {own: "trained by this run", GONE: GONE, DAMAGED: DAMAGED}
        lines.append(printable(f"{what.get(trainer, f'shared, from {trainer}{name}')}: "
                               f"{in_short(places)}"))  # fmt: skip
    return lines


def in_short(places: list[str]) -> str:
    """Return levels and branches in words: level 1-4, reinit 1-4."""
    by: dict[str, list[int]] = {}
    for place in places:
        if at := records.position(place):
            by.setdefault(at[1] or "level", []).append(at[0])
    return ", ".join(f"{name} {ranges(sorted(levels))}" for name, levels in by.items())


def ranges(numbers: list[int]) -> str:
    """Return rising numbers with runs of them in short: 0 2-4."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return " ".join("-".join(map(str, part)) for part in parts)


def trainers(run: Facts) -> dict[str, str]:
    """Return which run trained each level and branch first: level_00 -> id/replicate_K."""
    found = {}
    for place, entry in records.levels(run.folder).items():
        shelf = run.folder.parents[2] / "store" / entry["key"]
        try:
            found[place] = str(records.read_signed(shelf / records.MANIFEST).get("trained_by", "?"))
        except FileNotFoundError:
            found[place] = GONE
        except (DamagedError, DiskError):
            found[place] = DAMAGED
    return found

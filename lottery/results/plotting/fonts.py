"""Find fonts of this machine for letters that the figures' own font has not."""

from collections.abc import Iterator

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

BOXES = "Last Resort"  # comes with matplotlib: it has a box for every letter
SLANTED = ("italic", "oblique")


def having(letters: str) -> list[str]:
    """Return families that together have as many of the letters as there are to be had.

    The one with most of them first; [] where no font has any.
    """
    wanted, chosen = {ord(letter) for letter in letters}, []
    there = {name: wanted & found for name, found in families(wanted)}
    while wanted and there:
        name = max(sorted(there), key=lambda name: len(there[name] & wanted))
        if not there[name] & wanted:
            break
        wanted -= there.pop(name)
        chosen.append(name)
    return chosen


def families(wanted: set[int]) -> Iterator[tuple[str, set[int]]]:
    """Yield each upright family of fonts with those of the wanted letters that it has."""
    seen = set()
    for entry in font_manager.fontManager.ttflist:
        if entry.name in seen or entry.name.startswith(BOXES) or entry.style in SLANTED:
            continue
        seen.add(entry.name)
        try:
            held = FT2Font(entry.fname).get_charmap()
        except (OSError, RuntimeError):  # gone since matplotlib listed it, or no such font
            continue
        if found := wanted & held.keys():
            yield entry.name, found

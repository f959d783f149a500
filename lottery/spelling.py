"""Find what a misspelt word may have meant."""

import difflib
from collections.abc import Iterable

LIKE, ALIKE, SAME = 0.6, 0.75, 0.8  # how much two words share: to be named, meant, taken for it
SHORTEST = 3  # letters of a word that is looked for inside of others


def nearest(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known words that `word` may stand for, the likeliest first; [] for none.

    Of a key with dots those count first that begin and end alike (train.lr may be
    train.optimizer.lr), then the one that is spelled alike, then those that it is a part of.
    """
    names = list(dict.fromkeys(known))
    first, _, last = word.rpartition(".")
    ends = [n for n in names if first and n.startswith(f"{first}.") and n.endswith(f".{last}")]
    found = ends or difflib.get_close_matches(word, names, n=1, cutoff=ALIKE)
    if not found and len(word) >= SHORTEST:
        found = sorted((n for n in names if word.lower() in n.lower()), key=len)
    return (found or difflib.get_close_matches(word, names, n=1, cutoff=LIKE))[:most]


def alike(word: str, known: Iterable[str]) -> bool:
    """Say whether a word is one of the known ones, misspelt by a letter or two."""
    return bool(difflib.get_close_matches(word, list(known), n=1, cutoff=SAME))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x' or 'y'?" where some of `known` are near, else nothing."""
    *most, last = [f"'{name}'" for name in nearest(word, known)] or [""]
    said = f"{', '.join(most)} or {last}" if most else last
    return f"; did you mean {said}?" if last else ""

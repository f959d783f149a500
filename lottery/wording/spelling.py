"""Find what a misspelt word may have meant: the one rule of near words.

By letters only; what words mean elsewhere is in `synonyms`. Where nothing is really alike, nothing
is said: a wrong hint costs more than none.
"""

import difflib
import re
from collections.abc import Iterable
from os.path import commonprefix

ALIKE = 0.75  # how much of their letters two words share
SHORT, ONE_LETTER = 4, 0.65  # rum and run: of short words one letter is much
BEGUN = 3  # letters with which a part of a longer word begins


def plain(word: str) -> str:
    """Return a word without case, - and _, which nobody remembers."""
    return re.sub(r"[-_\s.]", "", word).lower()


def likeness(word: str, name: str) -> float:
    """Return how much alike two words are, from 0 to 1; with dots, how much their parts are.

    The last parts count by themselves, as a long path in common says nothing; 0 is below `ALIKE`.
    """
    (above, _, last), (parent, _, own) = word.rpartition("."), name.rpartition(".")
    pairs = [(last, own), (above, parent)] if above else [(last, own)]
    return min(similar(plain(a), plain(b)) for a, b in pairs)


def similar(word: str, name: str) -> float:
    """Return how much alike two words without dots are; 0 below `ALIKE`."""
    shared = difflib.SequenceMatcher(None, word, name, autojunk=False).ratio()
    short = max(len(word), len(name)) <= SHORT and word[:1] == name[:1]
    return shared if shared >= (ONE_LETTER if short else ALIKE) else 0.0


def nearest(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known words that `word` may stand for, the likeliest first; [] for none.

    Of a key with dots those count first that begin and end alike (train.lr may be
    train.optimizer.lr), then the one that is spelled alike, then those of which it begins a part,
    as acc does of test_accuracy.
    """
    names = list(dict.fromkeys(known))
    first, _, last = word.rpartition(".")
    ends = [n for n in names if first and n.startswith(f"{first}.") and n.endswith(f".{last}")]
    if ends:
        return ends[:most]
    best = max(
        names,
        key=lambda name: (likeness(word, name), len(commonprefix([word, name])), -len(name)),
        default="",
    )
    if best and likeness(word, best):
        return [best]
    parts = re.compile(r"[._/-]")
    begun = [n for n in names if any(p.startswith(word.lower()) for p in parts.split(n.lower()))]
    return sorted(begun, key=len)[:most] if len(word) >= BEGUN else []


def alike(word: str, known: Iterable[str]) -> bool:
    """Say whether a word is one of the known ones, misspelt by a letter or two."""
    return any(likeness(word, name) for name in known)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x' or 'y'?" where some of `known` are near, else nothing."""
    *most, last = [f"'{name}'" for name in nearest(word, known)] or [""]
    said = f"{', '.join(most)} or {last}" if most else last
    return f"; did you mean {said}?" if last else ""

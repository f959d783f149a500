"""Compare answers in words with those that people gave, as SQuAD does (Rajpurkar et al. 2016)."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")
SIGNS = frozenset(string.punctuation)


def plain(text: str) -> str:
    """Return an answer in small letters, without signs, articles and needless blanks."""
    letters = "".join(letter for letter in text.lower() if letter not in SIGNS)
    return " ".join(ARTICLES.sub(" ", letters).split())


def exact(given: str, true: str) -> float:
    """Return 1 where two answers are the same but for what `plain` takes off."""
    return float(plain(given) == plain(true))


def f1(given: str, true: str) -> float:
    """Return the harmonic mean of precision and recall of the words of an answer."""
    one, other = plain(given).split(), plain(true).split()
    if not one or not other:
        return float(one == other)
    both = sum((Counter(one) & Counter(other)).values())
    return 2 * both / (len(one) + len(other))


def best(measure: Callable[[str, str], float], given: str, true: Sequence[str]) -> float:
    """Return the best that an answer comes to over those that people gave."""
    return max(measure(given, each) for each in true)

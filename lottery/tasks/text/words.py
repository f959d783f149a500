"""Make numbers of words: how a line falls into words, and which words have a number."""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.wording.settings import choose

UNKNOWN, END = "<unk>", "<eos>"  # a word without a number of its own; the end of a line
PIECES = re.compile(r"\w+|([^\w\s])\1*")  # words, and runs of one sign

SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "blanks": str.split,
    "words": lambda line: [match.group() for match in PIECES.finditer(line)],
}


def stream(lines: Iterable[str], tokens: str, lowercase: bool) -> Iterator[list[str]]:
    """Yield the words of each line, and the sign of its end.

    `tokens` is `blanks`, or `words`, which takes signs from the words that they stand at.
    """
    fall = choose(SPLITTERS, tokens, "dataset.tokens")
    for line in lines:
        yield [*fall(line.lower() if lowercase else line), END]


def vocabulary(lines: Iterable[list[str]], least: int) -> tuple[str, ...]:
    """Return the words of a training text that come `least` times or more, the most frequent first.

    Words of one frequency are in order of the alphabet; the sign for all others comes first.
    """
    if least < 1:
        raise UsageError(f"dataset.min_count={least} is below 1; type dataset.min_count=1")
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line)
    known = sorted((-n, w) for w, n in counts.items() if n >= least and w != UNKNOWN)
    if len(known) < 2:
        raise UsageError(
            f"dataset.min_count={least} leaves {len(known)} word{'s'[len(known) == 1 :]} of "
            f"{len(counts)}; type dataset.min_count=1"
        )
    return (UNKNOWN, *(word for _, word in known))


def numbers(lines: Iterable[list[str]], words: tuple[str, ...]) -> Tensor:
    """Return the numbers of the words of a text, int32 [N]."""
    of = {word: number for number, word in enumerate(words)}
    unknown, found = of[UNKNOWN], array("i")
    for line in lines:
        found.extend(of.get(word, unknown) for word in line)
    return torch.from_numpy(np.array(found, dtype=np.int32))

"""Offer the hidden words of sentences that are made by a grammar."""

import random
from pathlib import Path
from typing import Unpack

from lottery.errors import UsageError
from lottery.tasks.text import grammar
from lottery.tasks.text.masked import Masked, MaskedOptions, masked
from lottery.terms import seeds

MOST = 100_000  # sentences


def masked_phrases(
    root: Path, *, examples: int, validation: int, test: int, **options: Unpack[MaskedOptions]
) -> Masked:
    """Return hidden words of sentences as `dataset=phrases` has them to learn from, and no others.

    No word and no construction that its test sentences have alone is in any split, and each
    sentence is in one. Reads and writes nothing below `root`.
    """
    for name, number in (("examples", examples), ("validation", validation), ("test", test)):
        if not 20 <= number <= MOST:
            raise UsageError(f"dataset.{name}={number}: type a number from 20 to {MOST}")
    draw = random.Random(seeds.derive("masked_phrases"))  # noqa: S311 (no secret)
    some = grammar.phrases(examples + validation + test, draw, later=False, rated=True)
    lines = [each.text for each in some]
    parts = {
        "test": lines[:test],
        "val": lines[test : test + validation],
        "train": lines[test + validation :],
    }
    return masked(None, parts, **options)

"""Make pairs of number words by rule: English to German."""

from pathlib import Path
from typing import Unpack

import torch

from lottery.errors import UsageError
from lottery.tasks.text.number_words import MOST, english, german, pieces
from lottery.tasks.text.translation import (
    EXACT,
    Judge,
    Translation,
    TranslationOptions,
    both_sides,
    exact,
    translation,
)
from lottery.tasks.text.vocabulary import Parts
from lottery.terms import seeds

USUAL = 500  # pairs
DIGITS = len(str(MOST)) - 1


def numbers(
    root: Path,
    *,
    examples: int,
    validation: int,
    test: int,
    split_seed: int,
    **options: Unpack[TranslationOptions],
) -> Translation:
    """Return numbers below 10 million in words: one hundred one, einhunderteins.

    As many of each number of digits as there are, or as are asked; no number is in two splits.
    What is measured first is the share of lines without an error. Reads nothing below `root`.
    """
    for name, value in (("examples", examples), ("validation", validation), ("test", test)):
        if value < 1:
            raise UsageError(f"dataset.{name}={value} is below 1; type dataset.{name}={USUAL}")
    asked = examples + validation + test
    if asked > MOST // 10:
        raise UsageError(
            f"dataset.examples={examples}: with validation and test these are {asked} numbers; "
            f"type at most {MOST // 10} together"
        )
    pairs = [(english(number), german(number)) for number in draw(asked, split_seed)]
    splits = {
        "test": pairs[:test],
        "val": pairs[test : test + validation],
        "train": pairs[test + validation :],
    }
    words = Parts(pieces, both_sides(splits["train"]))
    return translation(splits, words, Judge(EXACT, exact), **options)


def draw(asked: int, seed: int) -> list[int]:
    """Return so many different numbers in random order, of each length as many where there are."""
    generator = seeds.generator(seed, "numbers")
    found: list[int] = []
    for digits in range(1, DIGITS + 1):
        lowest = 10 ** (digits - 1)
        share = (asked - len(found)) // (DIGITS + 1 - digits)
        found += some(lowest, min(share, 9 * lowest), generator)
    order = torch.randperm(len(found), generator=generator).tolist()
    return [found[index] for index in order]


def some(lowest: int, number: int, generator: torch.Generator) -> list[int]:
    """Return so many different numbers of as many digits as the lowest of them."""
    if 2 * number > 9 * lowest:
        return (lowest + torch.randperm(9 * lowest, generator=generator)[:number]).tolist()
    found: dict[int, None] = {}
    while len(found) < number:
        drawn = torch.randint(lowest, 10 * lowest, (number,), generator=generator)
        found |= dict.fromkeys(drawn.tolist())
    return list(found)[:number]

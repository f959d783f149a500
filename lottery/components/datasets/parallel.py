"""Offer any parallel text: train.en and train.de, line by line."""

from pathlib import Path
from typing import Unpack

from lottery.tasks.text import parallel as texts
from lottery.tasks.text.bleu import bleu
from lottery.tasks.text.byte_pairs import BytePairs
from lottery.tasks.text.translation import (
    Translation,
    TranslationOptions,
    both_sides,
    translation,
)


def parallel(
    root: Path,
    *,
    path: str,
    languages: list[str],
    vocabulary: int,
    longest: int,
    **options: Unpack[TranslationOptions],
) -> Translation:
    """Return the pairs of lines in a folder, cut into byte pairs of the training text.

    Training pairs of more than `longest` tokens a side are left out; those of validation and test
    are all kept. What is measured first is BLEU.
    """
    judge = bleu("dataset=parallel")
    splits = texts.pairs_of(root, path, languages)
    words = BytePairs(both_sides(splits["train"]), vocabulary)
    return translation(splits, words, judge, longest, **options)

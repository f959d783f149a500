"""Offer the message catalogues of a machine as parallel text, from English."""

from pathlib import Path
from typing import Unpack

from lottery.tasks.text.bleu import bleu
from lottery.tasks.text.byte_pairs import BytePairs
from lottery.tasks.text.catalogues import by_hash, messages
from lottery.tasks.text.translation import (
    Translation,
    TranslationOptions,
    both_sides,
    translation,
)


def catalogues(
    root: Path,
    *,
    path: str,
    language: str,
    names: bool,
    validation: float,
    test: float,
    vocabulary: int,
    **options: Unpack[TranslationOptions],
) -> Translation:
    """Return what programs say in English and in another language, by their .mo files.

    Lines of 2 to 30 words, each once, cut into byte pairs of the training text; other programs on
    the machine are another data set. What is measured first is BLEU.
    """
    judge = bleu("dataset=catalogues")
    splits = by_hash(messages(root, path, language, names), validation, test)
    words = BytePairs(both_sides(splits["train"]), vocabulary)
    return translation(splits, words, judge, **options)

"""Offer sentences of opinion that are made by a grammar, whose worth is known."""

import random
from pathlib import Path
from typing import Unpack

from lottery.errors import UsageError
from lottery.tasks.text import grammar
from lottery.tasks.text.sentences import Rows, Sentences, TextOptions, rows_of, sentences
from lottery.terms import seeds

MOST = 50_000  # sentences: of the test split the grammar has few more


def phrases(
    root: Path, *, examples: int, test: int, rated: bool, **options: Unpack[TextOptions]
) -> Sentences:
    """Return sentences that praise or blame, as many of each; or with what they are worth.

    The worth follows from an adjective, what strengthens or denies it, and which of two clauses has
    the last word; a bag of words tells little of it. Each test sentence has a word that no training
    sentence has, or is built as none is. Reads and writes nothing below `root`.
    """
    for name, number in (("examples", examples), ("test", test)):
        if not 20 <= number <= MOST:
            raise UsageError(f"dataset.{name}={number}: type a number from 20 to {MOST}")
    parts = {"train": made(examples, False, rated), "test": made(test, True, rated)}
    measured = ("pearson", "spearman") if rated else ("accuracy",)
    return sentences(None, parts, 1 if rated else 2, measured, **options)


def made(number: int, later: bool, rated: bool) -> Rows:
    """Return so many sentences with their labels."""
    draw = random.Random(seeds.derive("phrases", str(later)))  # noqa: S311 (no secret)
    some = list(grammar.phrases(number, draw, later, rated))
    return rows_of(
        [(each.text,) for each in some], [each.worth if rated else each.worth > 0 for each in some]
    )

"""Offer the hidden words of Python's own help, which every installation has."""

from pathlib import Path
from typing import Unpack

from lottery.tasks.text.corpora import by_topic, python_topics
from lottery.tasks.text.masked import Masked, MaskedOptions, masked


def masked_docs(
    root: Path,
    *,
    split_seed: int,
    validation: float,
    test: float,
    **options: Unpack[MaskedOptions],
) -> Masked:
    """Return hidden words of `pydoc_data.topics`, cut in splits by topic.

    The text differs between versions of Python, and so does the fingerprint. Reads nothing below
    `root`, and leaves nothing there.
    """
    return masked(None, by_topic(python_topics(), validation, test, split_seed), **options)

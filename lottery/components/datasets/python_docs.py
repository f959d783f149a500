"""Offer the topics of Python's own help, which every installation has."""

from pathlib import Path
from typing import Unpack

from lottery.tasks.text.corpora import by_topic, python_topics
from lottery.tasks.text.language import Language, LanguageOptions, language


def python_docs(
    root: Path,
    *,
    split_seed: int,
    validation: float,
    test: float,
    **options: Unpack[LanguageOptions],
) -> Language:
    """Return the next words of `pydoc_data.topics`, cut in splits by topic.

    About 80,000 words; the text differs between versions of Python, and so does the fingerprint.
    Reads nothing below `root`.
    """
    return language(by_topic(python_topics(), validation, test, split_seed), **options)

"""Offer SQuAD 1.1: questions whose answers are spans of a text."""

from pathlib import Path
from typing import Unpack

from lottery.storage.installed import place
from lottery.tasks.text.questions import read
from lottery.tasks.text.spans import SpanOptions, Spans, spans


def squad(root: Path, *, path: str, **options: Unpack[SpanOptions]) -> Spans:
    """Return the questions of a folder with train-v1.1.json and dev-v1.1.json, or others alike.

    The answers of SQuAD's test split are not public: its development split is `test`, and `val` is
    taken out of its training split, by whole texts (Rajpurkar et al. 2016).
    """
    return spans(read(root / place(path, "dataset.path")), **options)

"""Offer the hidden words of any text."""

from pathlib import Path
from typing import Unpack

from lottery.tasks.text.corpora import text_of
from lottery.tasks.text.masked import Masked, MaskedOptions, masked


def masked_text(
    root: Path, *, path: str, validation: float, test: float, **options: Unpack[MaskedOptions]
) -> Masked:
    """Return hidden words of the text at `path`, a paragraph each line.

    `path` is one file, of which the last share `test` is the test text, and `validation` what
    stands before it; or a folder of texts with train, valid and test in their names.
    """
    return masked(root, text_of(root, path, validation, test), **options)

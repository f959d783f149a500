"""Offer any text to language models: WikiText as it is published, or a file of the user's."""

from pathlib import Path
from typing import Unpack

from lottery.tasks.text.corpora import text_of
from lottery.tasks.text.language import Language, LanguageOptions, language


def wikitext(
    root: Path, *, path: str, validation: float, test: float, **options: Unpack[LanguageOptions]
) -> Language:
    """Return the next words of the texts at `path`, each line followed by <eos>.

    `path` is a folder with wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens (Merity et al.
    2016), or other texts with train, valid and test in their names; or one file, of which the last
    share `test` is the test text, and `validation` what stands before it.
    """
    return language(text_of(root, path, validation, test), **options)

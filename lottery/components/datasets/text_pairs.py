"""Offer any table of pairs of sentences."""

from pathlib import Path
from typing import Unpack

from lottery.tasks.text.own import of_tables
from lottery.tasks.text.sentences import Sentences, TextOptions
from lottery.tasks.text.tables import Columns


def text_pairs(
    root: Path,
    *,
    path: str,
    first: str,
    second: str,
    label: str,
    header: bool,
    rated: bool,
    metric: str,
    test: float,
    **options: Unpack[TextOptions],
) -> Sentences:
    """Return the pairs of a TSV, CSV or JSONL, with the class or the number of each.

    `path` is a table, or a folder with one for train, test (or dev) and perhaps val. Raises
    UsageError for one without such columns.
    """
    columns = Columns((first, second), label, header)
    return of_tables(root, path, columns, rated, metric, test, **options)

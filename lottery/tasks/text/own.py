"""Make a task of a table of the user's own."""

from pathlib import Path
from typing import Unpack

import torch

from lottery.errors import UsageError
from lottery.storage.installed import place
from lottery.tasks.text.labels import rows_by_split
from lottery.tasks.text.measures import MEASURES, OF_NUMBERS
from lottery.tasks.text.sentences import Rows, Sentences, TextOptions, sentences
from lottery.tasks.text.tables import Columns, examples, tables_in
from lottery.terms import seeds
from lottery.wording.settings import choose

AUTO = "auto"


def of_tables(
    root: Path,
    path: str,
    columns: Columns,
    rated: bool,
    metric: str,
    test: float,
    **options: Unpack[TextOptions],
) -> Sentences:
    """Return the task of a table, or of a folder with one a split, below `root` unless absolute.

    Of one table a share is set apart for `test`, by split_seed. Raises UsageError.
    """
    there = root / place(path, "dataset.path")
    files = tables_in(there) if there.is_dir() else {"train": there}
    rows, classes = rows_by_split({s: examples(f, columns) for s, f in files.items()}, rated)
    if "test" not in rows:
        rows = cut(rows["train"], test, options["split_seed"])
    return sentences(root, rows, classes, measured(metric, rated, classes), **options)


def measured(metric: str, rated: bool, classes: int) -> tuple[str, ...]:
    """Return the names of the metrics, the one asked for first; raises UsageError."""
    if metric != AUTO:
        choose(MEASURES, metric, "dataset.metric")
    usual = OF_NUMBERS if rated else ("accuracy",)
    first = usual if metric == AUTO else (metric, *(n for n in usual if n != metric))
    if (first[0] in OF_NUMBERS) != rated:
        raise UsageError(
            f"dataset.metric={metric}: dataset.rated={str(rated).lower()} has labels of another "
            "kind; type dataset.metric=auto"
        )
    if metric == "f1" and classes > 2:
        raise UsageError(
            f"dataset.metric=f1: it is of two classes, and there are {classes}; type "
            "dataset.metric=accuracy"
        )
    return first


def cut(rows: Rows, share: float, seed: int) -> dict[str, Rows]:
    """Return a table in two: train and test; raises UsageError for a share that is none."""
    number = round(share * len(rows.labels))
    if not 0 < share < 1 or not 0 < number < len(rows.labels):
        raise UsageError(
            f"dataset.test={share:g}: of {len(rows.labels)} rows that sets {number} apart; type a "
            "share like dataset.test=0.2"
        )
    order = torch.randperm(len(rows.labels), generator=seeds.generator(seed, "test"))
    return {
        "test": rows.picked(order[:number].sort().values.tolist()),
        "train": rows.picked(order[number:].sort().values.tolist()),
    }

"""Offer the nine tasks of GLUE, from their files as they are distributed."""

from pathlib import Path
from typing import NamedTuple, Unpack

from lottery.errors import UsageError
from lottery.storage.installed import place
from lottery.tasks.text.labels import rows_by_split
from lottery.tasks.text.measures import OF_NUMBERS
from lottery.tasks.text.sentences import Sentences, TextOptions, sentences
from lottery.tasks.text.tables import Columns, examples
from lottery.wording.settings import choose
from lottery.wording.text import printable


class Form(NamedTuple):
    """A task as it is distributed: the name of its folder, its columns, its metrics, its files."""

    folder: str
    columns: Columns
    metrics: tuple[str, ...] = ("accuracy",)
    dev: str = "dev.tsv"


TWO = Columns(("sentence1", "sentence2"), "label")
PAIR = ("accuracy", "f1")
FORMS = {
    "cola": Form("CoLA", Columns(("3",), "1", named=False), ("matthews", "accuracy")),
    "sst2": Form("SST-2", Columns(("sentence",), "label")),
    "mrpc": Form("MRPC", Columns(("#1 String", "#2 String"), "Quality"), PAIR),
    "qqp": Form("QQP", Columns(("question1", "question2"), "is_duplicate"), PAIR),
    "stsb": Form("STS-B", Columns(TWO.texts, "score"), OF_NUMBERS),
    "mnli": Form("MNLI", Columns(TWO.texts, "gold_label"), dev="dev_matched.tsv"),
    "qnli": Form("QNLI", Columns(("question", "sentence"), "label")),
    "rte": Form("RTE", TWO),
    "wnli": Form("WNLI", TWO),
}


def glue(root: Path, *, task: str, path: str, **options: Unpack[TextOptions]) -> Sentences:
    """Return a task of GLUE (Wang et al. 2019); its development set is the test split.

    `path`, below `root` unless absolute, is the folder of all tasks as the authors' script leaves
    it, or that of the task: train.tsv and dev.tsv (MNLI: dev_matched.tsv). The labels of the own
    test sets are not public, so val is taken out of train. Raises UsageError for what lacks them.
    """
    form = choose(FORMS, task, "dataset.task")
    folder = root / place(path, "dataset.path")
    folder = folder / form.folder if (folder / form.folder).is_dir() else folder
    files = {"train": folder / "train.tsv", "test": folder / form.dev}
    if missing := [file for file in files.values() if not file.is_file()]:
        raise UsageError(
            f"dataset.path: {printable(missing[0])} is not there; give the folder of GLUE with "
            f"{form.folder}/train.tsv and {form.folder}/{form.dev} in it (gluebenchmark.com/tasks)"
        )
    rows, classes = rows_by_split(
        {split: examples(file, form.columns) for split, file in files.items()},
        form.metrics[0] in OF_NUMBERS,
        own=False,
    )
    return sentences(root, rows, classes, form.metrics, **options)

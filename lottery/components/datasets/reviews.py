"""Offer sentences of movie reviews, as twenty people rated each of them."""

import io
import math
import tarfile
from pathlib import Path
from typing import Unpack

import torch

from lottery.errors import UsageError
from lottery.storage.installed import place
from lottery.tasks.text.sentences import Rows, Sentences, TextOptions, rows_of, sentences
from lottery.tasks.text.tables import content
from lottery.terms import seeds
from lottery.wording.text import first_line, printable

INSIDE = ("hutto_ICWSM_2014.tar.gz", "movieReviewSnippets_GroundTruth.txt")  # one in the other
TEST_SHARE = 0.2
CLEAR = 1.0  # a mean rating from -4 to 4 that is taken for good or bad
FETCH = (
    "fetch it: pip download --no-deps --no-binary :all: vaderSentiment==2.5, then type "
    "dataset.path=$PWD/vaderSentiment-2.5.tar.gz"
)


def reviews(root: Path, *, path: str, rated: bool, **options: Unpack[TextOptions]) -> Sentences:
    """Return the 10,605 sentences of Hutto & Gilbert 2014: good or bad, or with their mean ratings.

    `path` is the source archive of vaderSentiment 2.5, or the table in it (latin-1; number, rating
    from -4 to 4 and sentence apart by tabs). Two classes are the sentences rated 1 or more and -1
    or less. A fifth is set apart for test, always the same. Raises UsageError for another file.
    """
    file = root / place(path, "dataset.path")
    rows = read(table_in(content(file, "dataset.path", FETCH), file), file)
    if not rated:
        clear = [n for n, rating in enumerate(rows.labels) if abs(rating) >= CLEAR]
        rows = rows.picked(clear)
        rows = rows_of(rows.texts, [rating > 0 for rating in rows.labels])
    order = torch.randperm(len(rows.labels), generator=seeds.generator("reviews", "test"))
    test, train = order.tensor_split([round(TEST_SHARE * len(order))])
    parts = {name: rows.picked(some.sort().values.tolist()) for name, some in
             (("train", train), ("test", test))}  # fmt: skip
    measured = ("pearson", "spearman") if rated else ("accuracy",)
    return sentences(root, parts, 1 if rated else 2, measured, **options)


def table_in(data: bytes, file: Path) -> str:
    """Return the table's text, out of an archive in an archive where it lies there."""
    try:
        for name in INSIDE:
            if not data.startswith(b"\x1f\x8b"):
                break
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                names = [n for n in archive.getnames() if n.rpartition("/")[2] in INSIDE]
                if not names:
                    raise UsageError(
                        f"dataset.path: {printable(file)} has no {name} in it (3.0 and later of "
                        f"vaderSentiment have none); {FETCH}"
                    )
                found = archive.extractfile(names[0])
                data = found.read() if found else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UsageError(
            f"dataset.path: {printable(file)} is a damaged archive ({first_line(error)}); {FETCH}"
        ) from error
    return data.decode("latin-1")


def read(text: str, file: Path) -> Rows:
    """Return the sentences with their ratings; raises UsageError for another table."""
    texts: list[tuple[str, ...]] = []
    ratings: list[float] = []
    for number, line in enumerate(text.splitlines() if "\r" not in text else text.split("\n"), 1):
        cells = line.rstrip("\r").split("\t")
        if cells == [""]:
            continue
        try:
            _, rating, sentence = cells
            ratings.append(float(rating))
            texts.append((sentence.strip(),))
        except ValueError:
            ratings.append(math.nan)
        if not -4 <= ratings[-1] <= 4:
            raise UsageError(
                f"dataset.path: {printable(file)}, line {number}: a number, a rating from -4 to 4 "
                f"and a sentence are wanted, apart by tabs; {FETCH}"
            )
    if len(texts) < 20:
        raise UsageError(f"dataset.path: {printable(file)} has {len(texts)} sentences; {FETCH}")
    return rows_of(texts, ratings)

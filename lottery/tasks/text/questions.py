"""Read questions whose answers are spans of a text, as SQuAD 1.1 is distributed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lottery.errors import UsageError
from lottery.tasks.text.tables import content
from lottery.terms import seeds
from lottery.wording.text import first_line, printable, some

NAMES = {"train": "train", "test": "dev"}  # splits, and what their files have in the names
FETCH = "give the folder with SQuAD's train-v1.1.json and dev-v1.1.json: dataset.path=FOLDER"


class Question(NamedTuple):
    """A question about a text, and where answers stand in it: (first letter, end) each."""

    text: str
    question: str
    spans: tuple[tuple[int, int], ...]

    @property
    def answers(self) -> tuple[str, ...]:
        return tuple(self.text[start:end] for start, end in self.spans)


def read(folder: Path) -> dict[str, list[Question]]:
    """Return the questions of a folder's two files, train and test; raises UsageError."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there"
        raise UsageError(f"dataset.path: {printable(folder)} {what}; {FETCH}")
    files = sorted(p for p in folder.iterdir() if p.suffix == ".json" and p.name[0] != ".")
    found = {}
    for split, word in NAMES.items():
        fitting = [p for p in files if word in p.name.lower()]
        if len(fitting) != 1:
            there = some([p.name for p in files]) or "none"
            raise UsageError(
                f"dataset.path: {printable(folder)} has {len(fitting) or 'no'} .json with {word} "
                f"in the name (it has: {there}), where one is wanted; {FETCH}"
            )
        found[split] = of_file(fitting[0])
    return found


def of_file(file: Path) -> list[Question]:
    """Return the questions of a file; raises UsageError for one of another form."""
    head = f"dataset.path: {printable(file)}"
    try:
        said = json.loads(content(file, "dataset.path", FETCH))
        found = [
            question_of(paragraph["context"], asked)
            for article in said["data"]
            for paragraph in article["paragraphs"]
            for asked in paragraph["qas"]
        ]
    except KeyError as error:
        raise UsageError(f"{head} has no {error} where SQuAD 1.1 has it; {FETCH}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{head} is not of SQuAD's form ({first_line(error)}); {FETCH}") from error
    if not found:
        raise UsageError(f"{head} has no question; {FETCH}")
    return found


def question_of(text: str, asked: Mapping[str, Any]) -> Question:
    """Return a question; raises ValueError where an answer does not stand where it says."""
    spans = []
    for answer in asked["answers"]:
        start, words = answer["answer_start"], answer["text"]
        if text[start : start + len(words)] != words or start < 0 or not words.strip():
            raise ValueError(
                f"the answer {words!r:.40} of question {asked['id']!r:.40} is not at letter {start}"
            )
        bare = words.strip()
        start += words.index(bare)
        spans.append((start, start + len(bare)))
    if not spans:
        raise ValueError(
            f"question {asked['id']!r:.40} has no answer, which version 1.1 always has"
        )
    if not asked["question"].strip():
        raise ValueError(f"question {asked['id']!r:.40} has no words")
    return Question(text, asked["question"].strip(), tuple(dict.fromkeys(spans)))


def set_apart(
    every: Sequence[Question], number: int, seed: int
) -> tuple[list[Question], list[Question]]:
    """Return training questions, and `number` or a few more for validation, by whole texts.

    No text has questions in both. Raises UsageError where none would be left to train on.
    """
    if number < 0:
        raise UsageError(f"dataset.validation={number} is below 0; type dataset.validation=0")
    by_text: dict[str, list[int]] = {}
    for at, question in enumerate(every):
        by_text.setdefault(question.text, []).append(at)
    groups = list(by_text.values())
    chosen: set[int] = set()
    order = torch.randperm(len(groups), generator=seeds.generator(seed, "validation")).tolist()
    for n in order:
        if len(chosen) >= number:
            break
        chosen.update(groups[n])
    if len(chosen) == len(every):
        most = len(every) - len(groups[order[-1]])  # all texts but the last
        raise UsageError(
            f"dataset.validation={number}: whole texts with so many questions leave none of "
            f"{len(every)} to train on; type dataset.validation={most}"
        )
    kept = [q for at, q in enumerate(every) if at not in chosen]
    return kept, [q for at, q in enumerate(every) if at in chosen]

"""Make a task of sentences, or pairs of them, that have a class or a number each.

Axes: N dataset, B batch, T pieces of a sentence, K classes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.storage.store import tensor_digest
from lottery.tasks.images.examples import in_batches, pick_examples, rank_in_class
from lottery.tasks.text.measures import MEASURES, OF_NUMBERS, by_chance
from lottery.tasks.text.padding import by_length, in_order, lengths, padded
from lottery.tasks.text.pieced import Pieced, check_lengths
from lottery.tasks.text.wordpieces import LEARNED, SETTING, Pieces, pieces_of, tokenizer_of
from lottery.terms import seeds
from lottery.terms.metric import Metric
from lottery.terms.task import Picks, refuse_classes, zero_sum

Batch = dict[str, Tensor]  # int64 [B, T]: input_ids, attention_mask, token_type_ids; labels [B]
EVALUATION_BATCH = 128  # a constant: the last digits of a loss depend on it
USUAL = 0.1  # share of the training examples that are set apart for validation


class TextOptions(TypedDict):
    """What every data set of sentences can be asked for; the yaml files say what each is."""

    tokenizer: str | None
    pieces: int
    length: int
    window: int
    validation: float
    split_seed: int
    subsample: int


class Rows(NamedTuple):
    """Examples as they were read: one or two sentences each, and a class (from 0) or a number."""

    texts: list[tuple[str, ...]]
    labels: list[float]

    def picked(self, rows: Sequence[int]) -> "Rows":
        return Rows([self.texts[n] for n in rows], [self.labels[n] for n in rows])


class Split(NamedTuple):
    """A split in pieces, and its labels [N]: int64 classes, or float32 numbers."""

    pieces: Pieces
    labels: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Sentences(Pieced):
    """Sentences that a net gives scores [B, K], or with K = 1 and `rated` a number each."""

    answer: ClassVar[str] = "sentence"  # what a pre-trained net is to get: one answer a sentence

    splits: dict[str, Split]
    outputs: int  # K
    measured: tuple[str, ...]  # names of metrics
    label_smoothing: float = 0.0

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(MEASURES[name].metric for name in self.measured)

    @property
    def rated(self) -> bool:
        """Whether labels are numbers."""
        return self.measured[0] in OF_NUMBERS

    @property
    def chance(self) -> float:
        return by_chance(self.measured[0], self.splits["train"].labels)

    def prepare(
        self, *, batch_size: int, device: torch.device, label_smoothing: float = 0.0
    ) -> Self:
        """Return the task on a device; raises UsageError for smoothed numbers."""
        if label_smoothing and self.rated:
            raise UsageError(
                f"train.label_smoothing={label_smoothing:g}: the labels are numbers; type "
                "train.label_smoothing=0"
            )
        there = {
            name: Split(Pieces(*(t.to(device) for t in split.pieces)), split.labels.to(device))
            for name, split in self.splits.items()
        }
        return replace(
            self,
            splits=there,
            batch_size=batch_size,
            device=device,
            label_smoothing=label_smoothing,
        )

    def batch(self, split: str, rows: Tensor) -> Batch:
        """Return examples, padded to the longest of them, rounded up to a multiple of 8."""
        pieces, labels = self.splits[split]
        return padded(pieces, rows, self.words.padding) | {"labels": labels[rows]}

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch; train is shuffled, the others come by their length."""
        sizes = lengths(self.splits[split].pieces)
        if split == "train":
            draw = seeds.generator(seed, "order", epoch)
            parts = in_order(sizes, self.batch_size, self.window, draw)
        else:
            parts = by_length(sizes, EVALUATION_BATCH)
        for rows in parts[start:]:
            yield self.batch(split, rows.to(self.device))

    def loss(self, model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
        """Return the mean cross-entropy, or the mean squared error of numbers."""
        scores = model(*self.inputs(batch))
        if temperature != 1:
            scores = scores / temperature
        if self.rated:
            return F.mse_loss(scores[:, 0], batch["labels"])
        return F.cross_entropy(scores, batch["labels"], label_smoothing=self.label_smoothing)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return the mean loss, never smoothed, and each metric; the training mode stays."""
        was_training = model.training
        model.eval()
        loss = zero_sum(self.device)
        answers: list[Tensor] = []
        labels: list[Tensor] = []
        for batch in self.batches(split, 0, 0):
            scores = model(*self.inputs(batch)).float()
            there = batch["labels"]
            if self.rated:
                loss += F.mse_loss(scores[:, 0], there, reduction="sum")
            else:
                loss += F.cross_entropy(scores, there, reduction="sum")
            answers.append(scores[:, 0] if self.rated else scores.argmax(1))
            labels.append(there)
        model.train(was_training)
        given, true = torch.cat(answers).cpu(), torch.cat(labels).cpu()
        found = {name: MEASURES[name].of(given, true) for name in self.measured}
        return {"loss": float(loss) / len(true), **found}

    def scoring_batches(self, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
        """Return `per_class` training examples of each class, or `size` of any, in batches.

        Raises UsageError for classes where labels are numbers.
        """
        labels = self.splits["train"].labels.cpu()
        each, by_class = picks.get("per_class", 0), picks.get("by_class", False)
        if self.rated:
            refuse_classes(picks, "labels that are numbers have")
            labels = torch.zeros(len(labels), dtype=torch.int64)
        rows = pick_examples(
            labels, self.outputs, generator, picks.get("size", 0), each, by_class
        ).to(self.device)
        size = picks.get("batch") or self.batch_size
        return [self.batch("train", some) for some in in_batches(rows, size)]

    def weight(self, batch: Batch) -> int:
        return len(batch["labels"])

    def example(self, number: int) -> Batch:
        """Return sentences of the usual length, without padding, of all classes in turn."""
        labels = torch.arange(number) % self.outputs
        return self.made_up(number, labels=labels.float() if self.rated else labels)


def sentences(
    root: Path | None,
    rows: Mapping[str, Rows],
    classes: int,
    measured: tuple[str, ...],
    **options: Unpack[TextOptions],
) -> Sentences:
    """Return the task of sentences that were read: `train`, `test` and perhaps `val`.

    `classes` is 1 where labels are numbers. Without a `root` nothing is kept on the disk. The
    tokenizer, where it is learned, knows the training sentences alone. Raises UsageError for
    options that cannot be.
    """
    splits = split_up(rows, measured[0] in OF_NUMBERS, **options)
    check_lengths(options["window"], options["length"])
    train = (text for pair in splits["train"].texts for text in pair)
    tokenizer = tokenizer_of(options["tokenizer"], options["pieces"], train)
    number = torch.float32 if measured[0] in OF_NUMBERS else torch.int64
    made = {
        name: Split(
            pieces_of(root, part.texts, tokenizer, options["length"]),
            torch.tensor(part.labels).to(number),
        )
        for name, part in splits.items()
    }
    refuse_bare(made)
    tensors = {
        f"{name} {field}": tensor
        for name, split in made.items()
        for field, tensor in {**split.pieces._asdict(), "labels": split.labels}.items()
    }
    asked = [options["length"], options["window"]]
    words = json.dumps([tensor_digest(tensors), tokenizer, classes, measured, asked])
    return Sentences(
        splits=made,
        outputs=classes,
        measured=measured,
        tokenizer=tokenizer,
        longest=options["length"],
        window=options["window"],
        fingerprint=hashlib.sha256(words.encode()).hexdigest(),
    )


def refuse_bare(made: Mapping[str, Split]) -> None:
    """Raise UsageError for sentences without a piece: empty ones, of a tokenizer without marks."""
    for name, split in made.items():
        if number := int((lengths(split.pieces) < 1).sum()):
            have = "1 sentence has" if number == 1 else f"{number} sentences have"
            raise UsageError(
                f"dataset: in the {name} split {have} no word piece, since the tokenizer puts no "
                f"marks around; take the empty ones out, or type {SETTING}={LEARNED}"
            )


def split_up(
    rows: Mapping[str, Rows], rated: bool, **options: Unpack[TextOptions]
) -> dict[str, Rows]:
    """Return train, test and, where there is one, val: its own rows, or some taken out of train."""
    train, seed, few = rows["train"], options["split_seed"], options["subsample"]
    share, every = options["validation"], len(rows["train"].labels)
    for key in ("validation", "subsample"):
        if options[key] < 0:  # type: ignore[literal-required]
            raise UsageError(f"dataset.{key}={options[key]:g} is below 0; type dataset.{key}=0")  # type: ignore[literal-required]
    number = 0 if "val" in rows else set_apart(share, every)
    if number >= every or few > every - number:
        kept = every - (number if number < every else set_apart(USUAL, every))
        todo = [f"dataset.validation={USUAL}"] * (number >= every)
        todo += [f"dataset.subsample={kept}"] * (few > kept)
        raise UsageError(
            f"dataset: there are {every} training sentences, of which dataset.validation={share:g} "
            f"and dataset.subsample={few} ask for more; type {' '.join(todo)}"
        )
    order = torch.randperm(every, generator=seeds.generator(seed, "validation"))
    found = {**rows, "train": train.picked(order[number:].sort().values.tolist())}
    if number:
        found["val"] = train.picked(order[:number].sort().values.tolist())
    return {**found, "train": fewer(found["train"], few, rated, seed)} if few else found


def set_apart(share: float, every: int) -> int:
    """Return how many of so many examples a share is, or the number that it is itself."""
    return round(share * every) if share < 1 else int(share)


def fewer(rows: Rows, number: int, rated: bool, seed: int) -> Rows:
    """Return so many examples, as many of each class as there are, the rest at random."""
    order = torch.randperm(len(rows.labels), generator=seeds.generator(seed, "subsample"))
    if not rated:
        labels = torch.tensor(rows.labels).long()[order]
        order = order[rank_in_class(labels, int(labels.max()) + 1).argsort(stable=True)]
    return rows.picked(order[:number].sort().values.tolist())


def rows_of(texts: Sequence[tuple[str, ...]], labels: Sequence[Any]) -> Rows:
    """Return examples."""
    return Rows(list(texts), [float(label) for label in labels])

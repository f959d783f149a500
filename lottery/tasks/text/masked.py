"""Make a task of words that are hidden in a text and are to be told from those around them.

Axes: N pieces of text, B batch, T word pieces of one, V vocabulary.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple, Self, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.storage.store import tensor_digest
from lottery.tasks.images.examples import in_batches
from lottery.tasks.text.padding import by_length, in_order, lengths, padded
from lottery.tasks.text.perplexity import PERPLEXITY, perplexity
from lottery.tasks.text.pieced import Pieced, check_lengths
from lottery.tasks.text.wordpieces import (
    LEARNED,
    SETTING,
    Pieces,
    Vocabulary,
    paragraphs_of,
    tokenizer_of,
)
from lottery.terms import seeds
from lottery.terms.metric import ACCURACY, Metric
from lottery.terms.task import Picks, refuse_classes, zero_sum

Batch = dict[str, Tensor]  # int64 [B, T]: input_ids, attention_mask, token_type_ids, labels
SEEN = -100  # the label of a place that is not asked for
EVALUATION_BATCH = 32  # a constant: the last digits of a loss depend on it
SHOWN, HIDDEN = 0.1, 0.8  # shares of the places that show their own piece, and that hide it
EVERY = 7  # of the places of a made-up example one is hidden


class MaskedOptions(TypedDict):
    """What every data set of hidden words can be asked for; the yaml files say what each is."""

    tokenizer: str
    pieces: int
    length: int
    window: int
    share: float


class Split(NamedTuple):
    """A split in pieces; nothing else is asked of it."""

    pieces: Pieces


@dataclass(frozen=True, eq=False, kw_only=True)
class Masked(Pieced):
    """Texts of which some pieces are hidden; a net gives scores [B, T, V].

    Which are hidden, and how, follows from (seed, "mask", epoch, example), in evaluation from the
    example alone. Marks, padding and pieces that the vocabulary does not know never are.
    """

    answer: ClassVar[str] = "words"  # what a pre-trained net is to get: an answer each piece
    metrics: ClassVar[tuple[Metric, ...]] = (ACCURACY, PERPLEXITY)

    splits: dict[str, Split]
    share: float  # of the pieces that are asked for

    @cached_property
    def ordinary(self) -> Tensor:
        """The pieces that are no marks, int64, of which one stands in place of another."""
        marks = set(self.words.marks)
        return torch.tensor([n for n in range(self.vocabulary) if n not in marks])

    @cached_property
    def may(self) -> Tensor:
        """Whether a piece is no mark, bool [V]."""
        found = torch.zeros(self.vocabulary, dtype=torch.bool)
        found[self.ordinary] = True
        return found

    @property
    def chance(self) -> float:
        """The share of the piece that most often stands in the training text."""
        ids = self.splits["train"].pieces.ids
        counts = ids.bincount(minlength=self.vocabulary).cpu()[self.ordinary]
        return int(counts.max()) / int(counts.sum())

    def prepare(self, *, batch_size: int, device: torch.device) -> Self:
        there = {
            name: Split(Pieces(*(t.to(device) for t in split.pieces)))
            for name, split in self.splits.items()
        }
        return replace(self, splits=there, batch_size=batch_size, device=device)

    def batch(self, split: str, rows: Tensor, words: tuple[int | str, ...]) -> Batch:
        """Return texts with some pieces hidden, as `words` and the numbers of the texts draw it."""
        made = padded(self.splits[split].pieces, rows, self.words.padding)
        ids = made["input_ids"].cpu()
        may = self.may[ids] & made["attention_mask"].bool().cpu()
        given, labels = ids.clone(), torch.full_like(ids, SEEN)
        for at, row in enumerate(rows.tolist()):
            draw = seeds.generator(*words, row)
            places, shown = hidden(may[at].nonzero()[:, 0], self.share, draw)
            labels[at, places] = own = ids[at, places]
            others = torch.randint(len(self.ordinary), (len(places),), generator=draw)
            kinds = torch.stack(
                [torch.full_like(own, self.words.hidden), own, self.ordinary[others]]
            )
            given[at, places] = kinds.gather(0, shown[None])[0]
        return made | {"input_ids": given.to(rows.device), "labels": labels.to(rows.device)}

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch; train is shuffled, the others come by their length."""
        sizes = lengths(self.splits[split].pieces)
        if split == "train":
            draw = seeds.generator(seed, "order", epoch)
            parts = in_order(sizes, self.batch_size, self.window, draw)
            words: tuple[int | str, ...] = (seed, "mask", epoch)
        else:
            parts, words = by_length(sizes, EVALUATION_BATCH), ("mask", split)
        for rows in parts[start:]:
            yield self.batch(split, rows.to(self.device), words)

    def loss(self, model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
        """Return the mean nats of a hidden place."""
        asked = batch["labels"] != SEEN
        scores = model(*self.inputs(batch))[asked]
        return F.cross_entropy(scores / temperature, batch["labels"][asked])

    @torch.no_grad()
    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return nats a hidden place, their exponential, and the share that is told right."""
        was_training = model.training
        model.eval()
        loss, right, number = zero_sum(self.device), zero_sum(self.device), 0
        for batch in self.batches(split, 0, 0):
            asked = batch["labels"] != SEEN
            scores, labels = model(*self.inputs(batch))[asked].float(), batch["labels"][asked]
            loss += F.cross_entropy(scores, labels, reduction="sum")
            right += (scores.argmax(1) == labels).sum()
            number += len(labels)
        model.train(was_training)
        mean = float(loss) / number
        accuracy = float(right) / number
        return {"loss": mean, "accuracy": accuracy, "perplexity": perplexity(mean)}

    def scoring_batches(self, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
        """Return `size` training texts, or all, with pieces hidden; they have no classes."""
        refuse_classes(picks, "words have")
        every = self.size("train")
        picked = torch.randperm(every, generator=generator)[: picks.get("size") or every]
        seed = int(torch.randint(2**62, (), generator=generator))
        parts = in_batches(picked.to(self.device), picks.get("batch") or self.batch_size)
        return [self.batch("train", rows, (seed, "mask", "scoring")) for rows in parts]

    def weight(self, batch: Batch) -> int:
        """Return the hidden places."""
        return int((batch["labels"] != SEEN).sum())

    def example(self, number: int) -> Batch:
        """Return texts of the usual length, without padding, every seventh piece hidden."""
        made = self.made_up(number)
        ids = made["input_ids"]
        asked = (torch.arange(self.usual, device=self.device) % EVERY == 1).expand_as(ids)
        hidden = ids.masked_fill(asked, self.words.hidden)
        return made | {"input_ids": hidden, "labels": ids.masked_fill(~asked, SEEN)}


def hidden(places: Tensor, share: float, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return which of the places are asked for, one or more, and what each shows.

    That is 0 nothing, 1 its own piece, 2 another one; both int64 [M]. Their number is `share` of
    the places in the mean.
    """
    wanted = share * len(places) + float(torch.rand((), generator=draw))
    order = torch.randperm(len(places), generator=draw)[: max(1, int(wanted))]
    sort = torch.rand(len(order), generator=draw)
    return places[order], (sort >= HIDDEN).long() + (sort >= HIDDEN + SHOWN).long()


def masked(
    root: Path | None, paragraphs: Mapping[str, Iterable[str]], **options: Unpack[MaskedOptions]
) -> Masked:
    """Return the task of paragraphs: `train`, `test` and perhaps `val`.

    What is longer than `length` is cut in several texts. The tokenizer, where it is learned, knows
    the training text alone. Numbers are kept below `root`, if there is one. Raises UsageError for
    options that cannot be, and for a split without words.
    """
    check_lengths(options["window"], options["length"])
    if not 0 < options["share"] <= 1:
        raise UsageError(
            f"dataset.share={options['share']:g} is a share of the pieces, above 0 and up to 1; "
            "type dataset.share=0.15"
        )
    lines = {name: [p for p in part if p.strip()] for name, part in paragraphs.items()}
    tokenizer = tokenizer_of(options["tokenizer"], options["pieces"], lines["train"])
    words = Vocabulary.of(tokenizer)
    if words.hidden < 0:
        raise UsageError(
            "dataset.tokenizer: it has no piece that hides another ([MASK] or <mask>); choose that "
            "of a net that was trained on hidden words, or dataset.tokenizer=learned"
        )
    splits = {}
    for name, part in lines.items():
        pieces = paragraphs_of(root, part, tokenizer, options["length"], words.marks)
        splits[name] = Split(pieces)
        if not len(pieces.ends):
            other = "give a text with letters of the training text: dataset.path=FILE"
            own = options["tokenizer"] == LEARNED
            raise UsageError(
                f"dataset: the {name} text has no word that the tokenizer knows; "
                f"{other if own else f'type {SETTING}={LEARNED}'}"
            )
    tensors = {f"{n} {f}": t for n, s in splits.items() for f, t in s.pieces._asdict().items()}
    asked = [options["length"], options["window"], options["share"]]
    said = json.dumps(["masked", tensor_digest(tensors), tokenizer, asked])
    return Masked(
        splits=splits,
        tokenizer=tokenizer,
        longest=options["length"],
        window=options["window"],
        share=options["share"],
        fingerprint=hashlib.sha256(said.encode()).hexdigest(),
    )

"""Translate lines: batches of like lengths, the loss of each next token, what a net says."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.tasks.text.decoding import beam_search, greedy
from lottery.tasks.text.lines import Lines, cut
from lottery.tasks.text.perplexity import PERPLEXITY, perplexity
from lottery.tasks.text.vocabulary import BEGIN, END, PAD, SPECIAL, Vocabulary
from lottery.terms import seeds
from lottery.terms.metric import Metric
from lottery.terms.task import Picks, refuse_classes, zero_sum
from lottery.terms.trees import first

Batch = dict[str, Tensor]  # source [B, S], given [B, T] and, a token later, wanted [B, T]; int64
Pair = tuple[str, str]  # a line, and the same in the other language

EVALUATION = (256, 8192)  # lines and tokens of a batch: the last digits of a loss depend on it
MORE = 50  # tokens that a translation may have more than its source (Vaswani et al. 2017)
EXACT = Metric("exact", unit="share", tolerance=0.005)


@dataclass(frozen=True)
class Split:
    """Pairs of lines, as they are and as tokens."""

    pairs: list[Pair]
    source: Lines
    target: Lines

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def lengths(self) -> Tensor:
        """The tokens of the longer side of each pair, its end counted."""
        return torch.maximum(self.source.lengths, self.target.lengths) + 1

    def up_to(self, longest: int) -> "Split":
        """Return the pairs of at most so many tokens a side; raises UsageError for none."""
        rows = (self.lengths <= longest + 1).nonzero()[:, 0].tolist()
        if not rows:
            raise UsageError(
                f"dataset.longest={longest}: every training pair has more tokens; type "
                "dataset.longest=0 to keep them all"
            )
        pairs = [self.pairs[row] for row in rows]
        return Split(pairs, self.source.picked(rows), self.target.picked(rows))


@dataclass(frozen=True)
class Judge:
    """What scores translations: (those of a net, those of people) -> its value."""

    metric: Metric
    score: Callable[[Sequence[str], Sequence[str]], float]
    signature: str = ""  # how it was measured, for who wants to compare


def exact(said: Sequence[str], wanted: Sequence[str]) -> float:
    """Return the share of lines that are the wanted ones to the letter."""
    return sum(map(str.__eq__, said, wanted)) / len(wanted)


@dataclass(frozen=True, eq=False, kw_only=True)
class Translation:
    """Lines of one language that become lines of another.

    Batches are sorted by length: which pairs of one length come together, and the order of the
    batches, are drawn for each epoch; how many there are follows from the lengths alone.
    """

    world: ClassVar[str] = "translation"
    padding: ClassVar[int] = PAD
    free_axes: ClassVar[tuple[int, ...]] = (1,)  # of inputs, beside that of the examples

    splits: dict[str, Split]
    words: Vocabulary
    judge: Judge
    fingerprint: str
    tokens: int  # in a batch, padding and the longer side counted; 0 = train.batch_size pairs
    sentences: int  # of a split that are translated in an evaluation, the first ones; 0 = all
    beam: int  # translations followed at a time; 1 = greedy
    penalty: float  # of length, in beam search
    chance: float | None  # what is reached by leaving the source as it is
    batch_size: int = 0
    device: torch.device = torch.device("cpu")
    label_smoothing: float = 0.0
    bounds: list[tuple[int, int]] = field(default_factory=list)  # of batches, by length

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (self.judge.metric, PERPLEXITY)

    @property
    def measured_by(self) -> dict[str, str]:
        """How a metric was measured, by its name, for run.json."""
        return {self.judge.metric.name: self.judge.signature} if self.judge.signature else {}

    @property
    def files(self) -> dict[str, bytes]:
        """What a net of it needs beside its weights, for exports."""
        return {"vocabulary.json": self.words.content.encode()}

    @property
    def vocabulary(self) -> int:
        return self.words.size

    @property
    def steps_per_epoch(self) -> int:
        return len(self.bounds)

    def size(self, split: str) -> int:
        return len(self.splits[split]) if split in self.splits else 0

    def prepare(
        self, *, batch_size: int, device: torch.device, label_smoothing: float = 0.0
    ) -> Self:
        """Return the task in batches of at most `batch_size` pairs and `tokens` tokens."""
        lengths = self.splits["train"].lengths.sort().values
        bounds = cut(lengths, batch_size, self.tokens)
        return replace(
            self, batch_size=batch_size, device=device, label_smoothing=label_smoothing,
            bounds=bounds,
        )  # fmt: skip

    def picked(self, split: str, rows: Tensor) -> Batch:
        """Return some pairs of a split as a batch."""
        source, target = self.splits[split].source, self.splits[split].target
        batch = {
            "source": source.padded(rows, after=END),
            "given": target.padded(rows, before=BEGIN),
            "wanted": target.padded(rows, after=END),
        }
        return {name: tokens.to(self.device) for name, tokens in batch.items()}

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        if split != "train":
            yield from self.in_order(split, self.size(split), start)
            return
        draw = seeds.generator(seed, "order", epoch)
        mixed = torch.randperm(self.size("train"), generator=draw)
        rows = mixed[self.splits["train"].lengths[mixed].argsort(stable=True)]
        order = torch.randperm(len(self.bounds), generator=draw)
        for index in order[start:].tolist():
            yield self.picked(split, rows[slice(*self.bounds[index])])

    def in_order(self, split: str, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield the first so many pairs of a split, the short ones first, from a batch on."""
        for rows in self.sorted_rows(split, number)[start:]:
            yield self.picked(split, rows)

    def sorted_rows(self, split: str, number: int) -> list[Tensor]:
        """Return the first so many rows of a split, by length, in batches of an evaluation."""
        lengths = self.splits[split].lengths[:number]
        rows = lengths.argsort(stable=True)
        return [rows[slice(*each)] for each in cut(lengths[rows], *EVALUATION)]

    def loss(self, model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
        """Return the mean cross-entropy of a target token in nats, of smoothed ones in training."""
        scores = first(model(*self.inputs(batch)))
        return F.cross_entropy(
            scores.flatten(0, 1) / temperature, batch["wanted"].flatten(),
            ignore_index=PAD, label_smoothing=self.label_smoothing,
        )  # fmt: skip

    @torch.no_grad()
    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return loss (never smoothed) and perplexity of a split, and the score of what is said.

        That is of the first `sentences` pairs alone. Leaves the training mode as found.
        """
        was_training = model.training
        model.eval()
        total, seen = zero_sum(self.device), 0
        for batch in self.in_order(split, self.size(split)):
            scores = first(model(*self.inputs(batch))).float().flatten(0, 1)
            total += F.cross_entropy(
                scores, batch["wanted"].flatten(), ignore_index=PAD, reduction="sum"
            )
            seen += self.weight(batch)
        loss = float(total) / seen
        number = min(self.sentences or self.size(split), self.size(split))
        wanted = [target for _, target in self.splits[split].pairs[:number]]
        score = self.judge.score(self.translated(model, split, number), wanted)
        model.train(was_training)
        return {"loss": loss, "perplexity": perplexity(loss), self.judge.metric.name: score}

    def translated(self, model: nn.Module, split: str, number: int) -> list[str]:
        """Return what a net in evaluation mode makes of the first so many lines of a split.

        A line has at most `MORE` tokens more than its own source, whatever stands beside it.
        """
        said = [""] * number
        own = self.splits[split].source.lengths + 1  # END counted
        for rows in self.sorted_rows(split, number):
            source = self.splits[split].source.padded(rows, after=END).to(self.device)
            longest = own[rows] + MORE
            if self.beam == 1:
                found = greedy(model, source, longest)
            else:
                found = beam_search(model, source, longest, self.beam, self.penalty)
            for row, line in zip(rows.tolist(), found.tolist(), strict=True):
                said[row] = self.words.line(line)
        return said

    def scoring_batches(self, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
        """Return training pairs, each batch of like lengths."""
        refuse_classes(picks, "lines have")
        every = self.splits["train"].lengths
        drawn = torch.randperm(len(every), generator=generator)[: picks.get("size") or len(every)]
        rows = drawn[every[drawn].argsort(stable=True)]
        asked = picks.get("batch")
        bounds = cut(every[rows], asked or self.batch_size, 0 if asked else self.tokens)
        return [self.picked("train", rows[slice(*each)]) for each in bounds]

    def count(self, batch: Batch) -> int:
        return len(batch["source"])

    def weight(self, batch: Batch) -> int:
        return int((batch["wanted"] != PAD).sum())

    def cut(self, batch: Batch, start: int, stop: int) -> Batch:
        return {name: tokens[start:stop] for name, tokens in batch.items()}

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return batch["source"], batch["given"]

    def example(self, number: int) -> Batch:
        """Return lines of the mean length of the training pairs, their tokens in turn."""
        train = self.splits["train"]
        source, target = (
            1 + round(len(lines.tokens) / len(lines)) for lines in (train.source, train.target)
        )
        span = self.vocabulary - len(SPECIAL)

        def made(length: int) -> Tensor:
            numbers = len(SPECIAL) + torch.arange(number * length) % max(1, span)
            return numbers.view(number, length).to(self.device)

        wanted = made(target)
        given = torch.cat([torch.full_like(wanted[:, :1], BEGIN), wanted[:, :-1]], 1)
        return {"source": made(source), "given": given, "wanted": wanted}

    def signal(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """Return ones in place of the vectors of an example's tokens, for a net that takes them."""
        width = next(
            (m.embedding_dim for m in model.modules() if isinstance(m, nn.Embedding)), None
        )
        if width is None:
            raise UsageError("this net has no embedding in whose place a signal could stand")
        source, given = self.inputs(self.example(1))
        return torch.ones(*source.shape, width), torch.ones(*given.shape, width)


class TranslationOptions(TypedDict):
    """What every data set of pairs of lines can be asked for."""

    tokens: int  # most in a batch, padding and the longer side counted; 0 = no such limit
    sentences: int  # of a split that are translated in an evaluation, the first ones; 0 = all
    beam: int  # translations followed at a time; 1 = greedy
    penalty: float  # of length, in beam search


def both_sides(pairs: list[Pair]) -> Iterator[str]:
    """Yield the lines of both languages."""
    return (line for pair in pairs for line in pair)


def translation(
    splits: dict[str, list[Pair]], words: Vocabulary, judge: Judge, longest: int = 0,
    **options: Unpack[TranslationOptions],
) -> Translation:  # fmt: skip
    """Return the task of these pairs; training pairs of more than `longest` tokens are left out.

    Raises UsageError for settings outside their range, and where no pair is left to learn from.
    """
    least = {"tokens": 0, "sentences": 0, "beam": 1, "penalty": 0}
    for name, value in {"longest": longest, **options}.items():
        if not value >= least.get(name, 0):  # type: ignore[operator]
            raise UsageError(
                f"dataset.{name}={value:g} is below {least.get(name, 0)}; type "
                f"dataset.{name}={least.get(name, 0)}"
            )
    made = {
        name: Split(pairs, *(Lines.of(words.numbers(side)) for side in zip(*pairs, strict=True)))
        for name, pairs in splits.items()
    }
    if longest:
        made["train"] = made["train"].up_to(longest)
    few = splits["train"][: options["sentences"] or None]
    said = [options, longest, judge.metric.name, words.content, splits]
    return Translation(
        splits=made, words=words, judge=judge, chance=judge.score(*zip(*few, strict=True)),
        fingerprint=hashlib.sha256(repr(said).encode()).hexdigest(), **options,
    )  # fmt: skip

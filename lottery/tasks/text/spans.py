"""Make a task of questions whose answers are spans of a text.

Axes: N windows of texts, B batch, T word pieces of one window, with the question before it.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.storage.store import tensor_digest
from lottery.tasks.images.examples import in_batches
from lottery.tasks.text import answers
from lottery.tasks.text.padding import MULTIPLE, by_length, in_order, lengths, padded
from lottery.tasks.text.pieced import Pieced, check_lengths
from lottery.tasks.text.questions import Question, set_apart
from lottery.tasks.text.wordpieces import Pieces, opened, tokenizer_of
from lottery.terms import seeds
from lottery.terms.metric import Metric
from lottery.terms.task import Picks, refuse_classes, zero_sum

Batch = dict[str, Tensor]  # int64 [B, T]: input_ids, attention_mask, token_type_ids; spans [B, 2]
F1 = Metric("f1", unit="share", tolerance=0.005)
EXACT = Metric("exact", unit="share", tolerance=0.005)
EVALUATION_BATCH = 32  # a constant: the last digits of a loss depend on it


class SpanOptions(TypedDict):
    """What a data set of questions can be asked for; the yaml file says what each is."""

    tokenizer: str
    pieces: int
    length: int
    stride: int
    question: int
    answer: int
    best: int
    window: int
    validation: int
    split_seed: int


class Windows(NamedTuple):
    """Questions with windows of their texts: a long text has several.

    `spans` are the first and the last piece of the answer, both 0 where it is not whole in the
    window; `letters` the place of each piece in the text, 0 and 0 of what is not of the text;
    `of` the question of each window.
    """

    pieces: Pieces
    spans: Tensor  # int64 [N, 2]
    letters: Tensor  # int32 [sum of lengths, 2]
    of: Tensor  # int64 [N]


@dataclass(frozen=True, eq=False, kw_only=True)
class Spans(Pieced):
    """Questions about texts; a net gives scores [B, T, 2], of each piece as first and as last.

    An example is a window. The answer to a question is the best span of all its windows.
    """

    answer: ClassVar[str] = "span"  # what a pre-trained net is to get: a begin and an end
    metrics: ClassVar[tuple[Metric, ...]] = (F1, EXACT)
    chance: ClassVar[float | None] = None

    splits: dict[str, Windows]
    questions: dict[str, list[Question]]
    most: int  # pieces of an answer
    best: int  # begins, and ends, of which the best span is taken

    def prepare(self, *, batch_size: int, device: torch.device) -> Self:
        there = {
            name: each._replace(
                pieces=Pieces(*(t.to(device) for t in each.pieces)), spans=each.spans.to(device)
            )
            for name, each in self.splits.items()
        }
        return replace(self, splits=there, batch_size=batch_size, device=device)

    def batch(self, split: str, rows: Tensor) -> Batch:
        """Return windows, padded to the longest of them, rounded up to a multiple of 8."""
        there = self.splits[split]
        return padded(there.pieces, rows, self.words.padding) | {"spans": there.spans[rows]}

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch; train is shuffled, the others come by their length."""
        for rows in self.parts(split, epoch, seed)[start:]:
            yield self.batch(split, rows.to(self.device))

    def parts(self, split: str, epoch: int, seed: int) -> tuple[Tensor, ...]:
        """Return the windows of each batch of an epoch."""
        sizes = lengths(self.splits[split].pieces)
        if split != "train":
            return by_length(sizes, EVALUATION_BATCH)
        draw = seeds.generator(seed, "order", epoch)
        return in_order(sizes, self.batch_size, self.window, draw)

    def scores(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return what a net gives, float [B, T, 2]; what fills a window up is no place."""
        found = model(*self.inputs(batch))
        there = batch["attention_mask"].bool().unsqueeze(-1)
        return found.masked_fill(~there, torch.finfo(found.dtype).min)  # type: ignore[no-any-return]

    def loss(self, model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
        """Return the mean cross-entropy of begin and end."""
        scores = self.scores(model, batch) / temperature
        return F.cross_entropy(scores, batch["spans"])

    @torch.no_grad()
    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return the mean loss of a window, and the means of F1 and exact over questions."""
        was_training = model.training
        model.eval()
        loss, number = zero_sum(self.device), 0
        found: dict[int, tuple[float, str]] = {}
        for rows in self.parts(split, 0, 0):
            batch = self.batch(split, rows.to(self.device))
            scores = self.scores(model, batch).float()
            loss += F.cross_entropy(scores, batch["spans"], reduction="sum")
            number += 2 * len(rows)
            for row, each in zip(rows.tolist(), scores.cpu(), strict=True):
                question, value, text = self.answered(split, row, each)
                if question not in found or value > found[question][0]:
                    found[question] = value, text
        model.train(was_training)
        given = [(found[n][1], q.answers) for n, q in enumerate(self.questions[split])]
        return {
            "loss": float(loss) / number,
            "f1": sum(answers.best(answers.f1, *each) for each in given) / len(given),
            "exact": sum(answers.best(answers.exact, *each) for each in given) / len(given),
        }

    def answered(self, split: str, row: int, scores: Tensor) -> tuple[int, float, str]:
        """Return the question of a window, the score of its best span, and that span's text."""
        there = self.splits[split]
        end = int(there.pieces.ends[row])
        letters = there.letters[int(there.pieces.ends[row - 1]) if row else 0 : end]
        inside = letters[:, 1] > letters[:, 0]
        begin, last = best_span(scores[: len(letters)], inside, self.best, self.most)
        number = int(there.of[row])
        text = self.questions[split][number].text
        value = float(scores[begin, 0] + scores[last, 1])
        return number, value, text[int(letters[begin, 0]) : int(letters[last, 1])]

    def scoring_batches(self, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
        """Return `size` windows of the training split, or all; they have no classes."""
        refuse_classes(picks, "questions have")
        every = self.size("train")
        picked = torch.randperm(every, generator=generator)[: picks.get("size") or every]
        parts = in_batches(picked.to(self.device), picks.get("batch") or self.batch_size)
        return [self.batch("train", rows) for rows in parts]

    def weight(self, batch: Batch) -> int:
        return len(batch["spans"])

    def example(self, number: int) -> Batch:
        """Return windows of the usual length, without padding."""
        return self.made_up(number, spans=torch.arange(2 * number).view(number, 2) % self.usual)


def best_span(scores: Tensor, inside: Tensor, best: int, most: int) -> tuple[int, int]:
    """Return first and last piece of the span with the greatest sum of scores [T, 2].

    Of the `best` begins and ends among pieces `inside`, with `most` pieces or fewer; where no two
    of these make a span, the best begin alone.
    """
    own = scores.masked_fill(~inside.unsqueeze(-1), -torch.inf)
    number = min(best, int(inside.sum()))
    (begins, ends), (first, last) = own.topk(number, dim=0)[0].T, own.topk(number, dim=0)[1].T
    size = last[None] - first[:, None] + 1
    sums = begins[:, None] + ends[None]
    sums = sums.masked_fill((size < 1) | (size > most), -torch.inf)
    at = int(sums.argmax())
    if sums.flatten()[at] == -torch.inf:
        return int(first[0]), int(first[0])
    return int(first[at // number]), int(last[at % number])


def windows(questions: Sequence[Question], words: str, **options: Unpack[SpanOptions]) -> Windows:
    """Return questions with windows of their texts, `stride` pieces from one to the next.

    `words` is the JSON of the tokenizer. Of several answers the first is the one that is learned.
    """
    reader = opened().Tokenizer.from_str(words)
    reader.no_padding()
    reader.no_truncation()
    marks = int(reader.num_special_tokens_to_add(True))
    by_size: dict[int, list[tuple[int, str]]] = defaultdict(list)
    asked = reader.encode_batch([q.question for q in questions], add_special_tokens=False)
    for n, one in enumerate(asked):
        size = min(len(one), options["question"])
        short = questions[n].question[: one.offsets[size - 1][1]] if size else ""
        by_size[size].append((n, short))
    made: list[tuple[int, Any]] = []
    for size, some in by_size.items():
        room = options["length"] - size - marks
        overlap = room - min(options["stride"], room)
        reader.enable_truncation(options["length"], stride=overlap, strategy="only_second")
        pairs = [(short, questions[n].text) for n, short in some]
        for (n, _), one in zip(some, reader.encode_batch(pairs), strict=True):
            made += [(n, part) for part in (one, *one.overflowing)]
    made.sort(key=lambda each: each[0])  # stable: the windows of a question stay in order
    letters = [
        [place if of == 1 else (0, 0) for place, of in zip(w.offsets, w.sequence_ids, strict=True)]
        for _, w in made
    ]
    spans = [span_in(own, questions[n].spans[0]) for own, (n, _) in zip(letters, made, strict=True)]
    return Windows(
        Pieces(
            torch.tensor([i for _, w in made for i in w.ids], dtype=torch.int32),
            torch.tensor([k for _, w in made for k in w.type_ids], dtype=torch.uint8),
            torch.tensor([len(w.ids) for _, w in made]).cumsum(0),
        ),
        torch.tensor(spans),
        torch.tensor([place for own in letters for place in own], dtype=torch.int32),
        torch.tensor([n for n, _ in made]),
    )


def span_in(letters: Sequence[tuple[int, int]], answer: tuple[int, int]) -> tuple[int, int]:
    """Return first and last piece that an answer's letters are in; 0 and 0 where it is cut."""
    there = [n for n, (start, end) in enumerate(letters) if start < answer[1] and end > answer[0]]
    if not there or letters[there[0]][0] > answer[0] or letters[there[-1]][1] < answer[1]:
        return 0, 0
    return there[0], there[-1]


def spans(read: Mapping[str, list[Question]], **options: Unpack[SpanOptions]) -> Spans:
    """Return the task of questions that were read: `train`, of which `val` is taken, and `test`.

    The tokenizer, where it is learned, knows the training texts and questions alone. Raises
    UsageError for options that cannot be.
    """
    check_options(**options)
    train, val = set_apart(read["train"], options["validation"], options["split_seed"])
    parts = {"train": train, "test": read["test"]} | ({"val": val} if val else {})
    words = (*dict.fromkeys(q.text for q in train), *(q.question for q in train))
    tokenizer = tokenizer_of(options["tokenizer"], options["pieces"], words)
    made = {name: windows(part, tokenizer, **options) for name, part in parts.items()}
    tensors = {
        f"{name} {field}": tensor
        for name, each in made.items()
        for field, tensor in {**each._asdict(), **each.pieces._asdict()}.items()
        if field != "pieces"
    }
    asked = [options[k] for k in ("length", "answer", "best", "window")]  # type: ignore[literal-required]
    said = ["spans", tensor_digest(tensors), tokenizer, asked, parts]
    return Spans(
        splits=made,
        questions=parts,
        tokenizer=tokenizer,
        longest=options["length"],
        most=options["answer"],
        best=options["best"],
        window=options["window"],
        fingerprint=hashlib.sha256(json.dumps(said).encode()).hexdigest(),
    )


def check_options(**options: Unpack[SpanOptions]) -> None:
    """Raise UsageError for numbers below 1, and for windows with no room beside a question."""
    for key in ("stride", "question", "answer", "best"):
        if options[key] < 1:  # type: ignore[literal-required]
            raise UsageError(f"dataset.{key}={options[key]} is below 1; type dataset.{key}=1")  # type: ignore[literal-required]
    question = options["question"]
    check_lengths(options["window"], options["length"], question + MULTIPLE, 6 * question)

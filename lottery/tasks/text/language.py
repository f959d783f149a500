"""The next word, of all words before it: perplexity of a text that goes by in columns."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.tasks.text import words as of_words
from lottery.tasks.text.corpora import Paragraphs
from lottery.tasks.text.perplexity import PERPLEXITY, perplexity
from lottery.terms import seeds
from lottery.terms.metric import Metric
from lottery.terms.task import Picks, refuse_classes, zero_sum
from lottery.wording.text import first_line

Batch = dict[str, Any]  # tokens and following, int64 [B, T]; chunk, where it is of a stream


class LanguageOptions(TypedDict):
    """What every data set of next words can be asked for."""

    tokens: str  # blanks, or words
    lowercase: bool
    min_count: int  # of a word in the training text that has a number of its own
    bptt: int  # words a step goes back
    shift: bool  # begin each epoch at another word


@dataclass(frozen=True, eq=False, kw_only=True)
class Language:
    """A text, cut into as many columns as a batch has rows, that go by in chunks of `bptt` words.

    A net gives scores [B, T, V] for tokens [B, T], and its memory, a tensor or a tuple of tensors,
    which it takes back as a second argument; or scores alone. The memory goes from chunk to chunk,
    without gradients, and begins anew in each epoch. An example is a row of `bptt` words.
    """

    world: ClassVar[str] = "text"
    metrics: ClassVar[tuple[Metric, ...]] = (PERPLEXITY,)

    splits: dict[str, Tensor]  # int32 [N], a stream of words each
    words: tuple[str, ...]
    bptt: int
    shift: bool
    batch_size: int = 1
    device: torch.device = torch.device("cpu")
    held: dict[str, Tensor] = field(default_factory=dict)  # the memory, since the task is frozen

    @property
    def vocabulary(self) -> int:
        """V, how many words have numbers."""
        return len(self.words)

    @property
    def files(self) -> dict[str, bytes]:
        """What a net of it needs beside its weights, for exports: the words by their numbers."""
        return {"vocabulary.txt": "".join(f"{word}\n" for word in self.words).encode()}

    @property
    def chance(self) -> float:
        """The perplexity of who knows only how often each word comes in the training text."""
        counts = self.splits["train"].bincount(minlength=self.vocabulary).double()
        share = counts[counts > 0] / counts.sum()
        return math.exp(-float((share * share.log()).sum()))

    @property
    def fingerprint(self) -> str:
        hasher = hashlib.sha256(json.dumps([self.words, self.bptt, self.shift]).encode())
        for name, text in sorted(self.splits.items()):
            hasher.update(f"/{name}/{len(text)}/".encode())
            hasher.update(text.cpu().numpy().tobytes())
        return hasher.hexdigest()

    def column(self, split: str) -> int:
        """Return how many words of a split stand in a column, each with one after it."""
        return (len(self.splits[split]) - 1) // self.batch_size

    @property
    def steps_per_epoch(self) -> int:
        return self.column("train") // self.bptt

    def size(self, split: str) -> int:
        if split == "train":
            return self.steps_per_epoch * self.batch_size
        return -(-(len(self.splits[split]) - 1) // self.bptt) if split in self.splits else 0

    def prepare(self, *, batch_size: int, device: torch.device) -> Self:
        there = {name: text.to(device) for name, text in self.splits.items()}
        task = replace(self, splits=there, batch_size=batch_size, device=device, held={})
        if not task.steps_per_epoch:
            number, most = len(self.splits["train"]), (len(self.splits["train"]) - 1) // self.bptt
            todo = f"train.batch_size={most}" if most else "a smaller dataset.bptt"
            raise UsageError(
                f"dataset: a text of {number} words has no {batch_size} columns of {self.bptt} "
                f"words (dataset.bptt) for one step; type {todo}"
            )
        return task

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield the chunks of all columns; training begins at a word drawn for the epoch."""
        text, length = self.splits[split], self.column(split)
        first = 0
        if self.shift and split == "train":
            draw = seeds.generator(seed, "shift", epoch)
            first = int(torch.randint(len(text), (), generator=draw))
        heads = first + length * torch.arange(self.batch_size, device=self.device)
        for chunk in range(start, length // self.bptt):
            yield self.rows(text, heads + chunk * self.bptt) | {"chunk": chunk}

    def rows(self, text: Tensor, heads: Tensor) -> Batch:
        """Return `bptt` words from each place on, and the word after each; the text is a ring."""
        places = heads.unsqueeze(1) + torch.arange(self.bptt + 1, device=self.device)
        found = text[places % len(text)].long()
        return {"tokens": found[:, :-1], "following": found[:, 1:]}

    def state(self) -> dict[str, Tensor]:
        return dict(self.held)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.held.clear()
        self.held.update(state)

    def loss(self, model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
        """Return the mean nats a word; a batch of the stream goes on where the one before ended."""
        goes_on = batch.get("chunk", 0) > 0
        scores, memory = said(model, batch["tokens"], recalled(self.held) if goes_on else None)
        if "chunk" in batch:
            self.restore(kept(memory))
        return F.cross_entropy(scores.flatten(0, 1) / temperature, batch["following"].flatten())

    @torch.no_grad()
    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return nats a word and their exponential over a whole split, as one row."""
        was_training = model.training
        model.eval()
        text, total, memory = self.splits[split].long(), zero_sum(self.device), None
        given, after = (torch.split(words, self.bptt) for words in (text[:-1], text[1:]))
        for tokens, following in zip(given, after, strict=True):
            scores, memory = said(model, tokens.unsqueeze(0), memory)
            total += F.cross_entropy(scores[0].float(), following, reduction="sum")
        model.train(was_training)
        loss = float(total) / (len(text) - 1)
        return {"loss": loss, "perplexity": perplexity(loss)}

    def scoring_batches(self, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
        """Return rows of the training text, each with a memory that begins anew."""
        refuse_classes(picks, "words have")
        text = self.splits["train"]
        every = (len(text) - 1) // self.bptt
        picked = torch.randperm(every, generator=generator)[: picks.get("size") or every]
        each = torch.split(
            picked.to(self.device) * self.bptt, picks.get("batch") or self.batch_size
        )
        return [self.rows(text, heads) for heads in each]

    def count(self, batch: Batch) -> int:
        return len(batch["tokens"])

    def weight(self, batch: Batch) -> int:
        return int(batch["tokens"].numel())

    def cut(self, batch: Batch, start: int, stop: int) -> Batch:
        """Return some rows, which are none of the stream any more."""
        return {name: batch[name][start:stop] for name in ("tokens", "following")}

    def inputs(self, batch: Batch) -> tuple[Tensor]:
        return (batch["tokens"],)

    def example(self, number: int) -> Batch:
        words = torch.arange(number * (self.bptt + 1), device=self.device) % self.vocabulary
        rows = words.view(number, -1)
        return {"tokens": rows[:, :-1], "following": rows[:, 1:]}

    def signal(self, model: nn.Module) -> tuple[Tensor]:
        """Return a row of ones in place of an embedding's vectors, for a net that takes them."""
        found = next((m.weight for m in model.modules() if isinstance(m, nn.Embedding)), None)
        if found is None:
            raise UsageError(
                "a signal of ones stands for an embedding's vectors; this net has none"
            )
        signal = found.new_ones(1, self.bptt, found.shape[1])
        try:
            with torch.no_grad():
                model(signal)
        except Exception as error:  # the model's own code, asked for what it need not do
            raise UsageError(
                "a signal of ones stands for an embedding's vectors, which this net does not take "
                f"in place of words ({first_line(error)})"
            ) from error
        return (signal,)


def said(model: nn.Module, tokens: Tensor, memory: Any) -> tuple[Tensor, Any]:
    """Return what a net gives for words: scores, and its memory, None of a net without one."""
    made = model(tokens) if memory is None else model(tokens, memory)
    return (made[0], made[1]) if isinstance(made, tuple | list) else (made, None)


def kept(memory: Any) -> dict[str, Tensor]:
    """Return a net's memory as named tensors, without gradients."""
    if memory is None:
        return {}
    if isinstance(memory, Tensor):
        return {"memory": memory.detach()}
    return {f"memory_{n:02}": part.detach() for n, part in enumerate(memory)}


def recalled(held: Mapping[str, Tensor]) -> Any:
    """Return named tensors as the memory that they were; None of none."""
    if "memory" in held:
        return held["memory"]
    return tuple(held[name] for name in sorted(held)) or None


def language(paragraphs: Paragraphs, **options: Unpack[LanguageOptions]) -> Language:
    """Return the task of a text; its vocabulary is that of the training split."""
    if options["bptt"] < 1:
        raise UsageError(f"dataset.bptt={options['bptt']} is below 1; type dataset.bptt=35")

    def lines(split: str) -> Iterator[list[str]]:
        return of_words.stream(paragraphs[split], options["tokens"], options["lowercase"])

    words = of_words.vocabulary(lines("train"), options["min_count"])
    splits = {name: of_words.numbers(lines(name), words) for name in paragraphs}
    for name, text in splits.items():
        if len(text) < 2:
            raise UsageError(
                f"dataset: the {name} split is one word; it takes two to predict one: give a "
                "longer text, or a larger share of it"
            )
    return Language(splits=splits, words=words, bptt=options["bptt"], shift=options["shift"])

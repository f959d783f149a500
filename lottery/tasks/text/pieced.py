"""Hold what tasks of texts in word pieces have in common, whatever a net is to say of a text."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.tasks.text.padding import MULTIPLE
from lottery.tasks.text.wordpieces import Pieces, Vocabulary

Batch = dict[str, Tensor]  # int64 [B, T]: input_ids, attention_mask, token_type_ids; what is asked


class Texts(Protocol):
    """A split in word pieces; what is asked of its texts is a task's own."""

    @property
    def pieces(self) -> Pieces: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Pieced:
    """Texts in word pieces, filled up to the longest of their batch."""

    world: ClassVar[str] = "text"
    free_axes: ClassVar[tuple[int, ...]] = (1,)  # the length that texts are filled up to

    splits: Mapping[str, Texts]
    tokenizer: str  # its JSON
    longest: int  # pieces of a text, at most
    window: int  # batches whose texts are parted by length together
    fingerprint: str
    batch_size: int = 0
    device: torch.device = torch.device("cpu")

    @cached_property
    def words(self) -> Vocabulary:
        """What the tokenizer says of its pieces."""
        return Vocabulary.of(self.tokenizer)

    @property
    def vocabulary(self) -> int:
        """How many pieces there are."""
        return self.words.size

    @property
    def files(self) -> dict[str, bytes]:
        """What a net of it needs beside its weights."""
        return {"tokenizer.json": self.tokenizer.encode()}

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.size("train") // self.batch_size)

    def size(self, split: str) -> int:
        return len(self.splits[split].pieces.ends) if split in self.splits else 0

    def count(self, batch: Batch) -> int:
        return len(batch["input_ids"])

    def cut(self, batch: Batch, start: int, stop: int) -> Batch:
        return {name: tensor[start:stop] for name, tensor in batch.items()}

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        return batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]

    def signal(self, model: nn.Module) -> tuple[Tensor | None, ...]:
        """Return a text of ones for a net that takes one; raises UsageError for another."""
        if not hasattr(model, "signal"):
            raise UsageError(
                "a signal of ones cannot stand for numbers of pieces: this net takes no vectors in "
                "their place (model.signal)"
            )
        return model.signal(model, self.usual)  # type: ignore[no-any-return,operator]

    @cached_property
    def usual(self) -> int:
        """The pieces of a text in the mean of the training split, as batches count them."""
        pieces = self.splits["train"].pieces
        return -(-len(pieces.ids) // (len(pieces.ends) * MULTIPLE)) * MULTIPLE

    def made_up(self, number: int, **asked: Tensor) -> Batch:
        """Return texts of the usual length, without padding, and what is asked of them."""
        ids = torch.arange(number * self.usual).view(number, -1) % self.vocabulary
        made = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "token_type_ids": torch.zeros_like(ids),
        }
        return {name: tensor.to(self.device) for name, tensor in (made | asked).items()}


def check_lengths(window: int, length: int, least: int = MULTIPLE, usual: int = 128) -> None:
    """Raise UsageError for no window, and for a length below `least`, in pieces.

    `usual` is the length to type instead.
    """
    if window < 1:
        raise UsageError(
            f"dataset.window={window} is below 1, which parts no texts by length; type "
            "dataset.window=1"
        )
    if length < least:
        raise UsageError(
            f"dataset.length={length} pieces leave no room for a text; type dataset.length={usual}"
        )

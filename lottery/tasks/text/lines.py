"""Hold many lines of tokens, of which each has its own length."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lottery.tasks.text.vocabulary import PAD


@dataclass(frozen=True)
class Lines:
    """Lines end to end; line i is `tokens[ends[i - 1]:ends[i]]`."""

    tokens: Tensor  # int32 [all tokens]
    ends: Tensor  # int64 [N]

    @classmethod
    def of(cls, lines: Sequence[Sequence[int]]) -> "Lines":
        """Return the lines of such numbers."""
        tokens = torch.tensor([t for line in lines for t in line], dtype=torch.int32)
        return cls(tokens, torch.tensor([len(line) for line in lines]).cumsum(0))

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> Tensor:
        """The number of tokens of each line, int64 [N]."""
        return self.ends.diff(prepend=self.ends.new_zeros(1))

    def picked(self, rows: Sequence[int]) -> "Lines":
        """Return some of the lines."""
        begins, ends = (self.ends - self.lengths).tolist(), self.ends.tolist()
        return Lines.of([self.tokens[begins[row] : ends[row]].tolist() for row in rows])

    def padded(self, rows: Tensor, before: int | None = None, after: int | None = None) -> Tensor:
        """Return some lines as int64 [B, T], PAD at their ends, between two tokens where given."""
        first = [[] if before is None else [before], [] if after is None else [after]]
        head, tail = (torch.tensor(each, dtype=torch.int32) for each in first)
        begins = self.ends - self.lengths
        lines = [
            torch.cat([head, self.tokens[begin:end], tail])
            for begin, end in zip(begins[rows].tolist(), self.ends[rows].tolist(), strict=True)
        ]
        whole = torch.nn.utils.rnn.pad_sequence(lines, batch_first=True, padding_value=PAD)
        return whole.long()


def cut(lengths: Tensor, lines: int, tokens: int) -> list[tuple[int, int]]:
    """Cut rows that are sorted by length into batches, each (start, stop).

    A batch has at most `lines` rows, and at most `tokens` tokens with what pads them to the
    longest (0 = no such limit), or one row.
    """
    found, start = [], 0
    for row, length in enumerate(lengths.tolist()):
        size = row - start
        if size and (size == lines or (tokens and (size + 1) * length > tokens)):
            found.append((start, row))
            start = row
    return [*found, (start, len(lengths))]

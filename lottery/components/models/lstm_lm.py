"""Build an LSTM that predicts the next word (Zaremba et al. 2014)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.wording.settings import at_least

SPREAD = 0.1  # embedding and output layer begin uniform in +- that
TIES = ("auto", "yes", "no")
Memory = tuple[Tensor, Tensor]  # outputs and cells, [layers, B, hidden] each


def lstm_lm(
    task: Any, *, embedding: int, hidden: int, layers: int, dropout: float, tied: str
) -> nn.Module:
    """Return embedding, LSTMs and an output layer for the words of a task.

    With `tied` the output layer's weight is the embedding (Press & Wolf 2017); `auto` ties where
    their widths are equal.
    """
    task.bptt  # noqa: B018 (texts without next words are refused first)
    at_least(1, embedding=embedding, hidden=hidden, layers=layers)
    if not 0 <= dropout < 1:
        raise UsageError(
            f"model.dropout: {dropout:g} is no share in [0, 1); type model.dropout=0.5"
        )
    if tied not in TIES:
        raise UsageError(f"model.tied: '{tied}' is none of {', '.join(TIES)}")
    if tied == "yes" and embedding != hidden:
        raise UsageError(
            f"model.tied: an embedding of {embedding} and {hidden} hidden units cannot share "
            f"weights; type model.embedding={hidden}"
        )
    tie = tied == "yes" or (tied == "auto" and embedding == hidden)
    return LstmLm(task.vocabulary, embedding, hidden, layers, dropout, tie)


class LstmLm(nn.Module):
    """Scores [B, T, V] of the next word for words [B, T], or for their vectors [B, T, E].

    Layers are LSTMs of their own with dropout between, which is drawn from torch's generator on
    every device: that inside cuDNN has a state that no checkpoint holds.
    """

    def __init__(
        self, words: int, embedding: int, hidden: int, layers: int, dropout: float, tie: bool
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.embedding = nn.Embedding(words, embedding)
        widths = [embedding, *[hidden] * (layers - 1)]
        self.lstm = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.fc = nn.Linear(hidden, words)
        nn.init.uniform_(self.fc.weight, -SPREAD, SPREAD)
        nn.init.zeros_(self.fc.bias)
        nn.init.uniform_(self.embedding.weight, -SPREAD, SPREAD)
        if tie:
            self.fc.weight = self.embedding.weight

    def forward(self, tokens: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        x = tokens if tokens.is_floating_point() else self.embedding(tokens)
        ends = []
        for number, layer in enumerate(self.lstm):
            own = None if memory is None else tuple(m[number : number + 1] for m in memory)
            x, end = layer(self.drop(x), own)
            ends.append(end)
        outputs, cells = (torch.cat(parts) for parts in zip(*ends, strict=True))
        return self.fc(self.drop(x)), (outputs, cells)

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

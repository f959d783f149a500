"""Build the net of "Attention is all you need": an encoder and a decoder."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.nets.attention import Attention
from lottery.nets.initializers import initialize
from lottery.wording.settings import at_least

State = dict[str, Any]  # what the tokens so far have left


def transformer(
    task: Any,
    *,
    width: int,
    encoder: int,
    decoder: int,
    heads: int,
    hidden: int,
    dropout: float,
    pre_norm: bool,
    init: str,
) -> nn.Module:
    """Return an encoder and a decoder that share one embedding (Vaswani et al. 2017).

    Source, target and output layer have the same vectors (their section 3.4), a parameter that is
    pruned only where it is asked for. Positions are sinusoidal. The vectors are drawn from
    N(0, 1 / width).
    """
    at_least(1, width=width, encoder=encoder, decoder=decoder, heads=heads, hidden=hidden)
    if width % heads or width % 2:
        raise UsageError(
            f"model.width: {width} is to be even and a multiple of model.heads={heads}; type "
            f"model.width={math.ceil(width / (2 * heads)) * 2 * heads}"
        )
    if not 0 <= dropout < 1:
        raise UsageError(
            f"model.dropout: {dropout:g} is not from 0 to below 1; type model.dropout=0.1"
        )
    model = Transformer(
        task.vocabulary, task.padding, width, (encoder, decoder), heads, hidden, dropout, pre_norm
    )
    initialize(model, init, bn_scale="ones")
    nn.init.normal_(model.embedding.weight, std=width**-0.5)
    return model


class Words(nn.Embedding):
    """An embedding read the other way round: vectors [..., width] become scores of words."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


class Layer(nn.Module):
    """A layer of the encoder, or of the decoder, which also looks at the encoder's memory.

    With `pre_norm` LayerNorm stands before each part, else behind the sum (the paper's).
    """

    def __init__(
        self, width: int, heads: int, hidden: int, dropout: float, pre_norm: bool, decodes: bool
    ) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = Attention(width, heads)
        self.attention_norm = nn.LayerNorm(width)
        if decodes:
            self.cross = Attention(width, heads)
            self.cross_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor | None, memory: Tensor | None = None) -> Tensor:
        """Return the layer of tokens x; without `memory`, [B, S, width], it is the encoder's."""
        if memory is None:
            x = self.add(x, self.attention_norm, lambda y: self.attention(y, seen=seen))
        else:
            x = self.add(x, self.attention_norm, lambda y: self.attention(y, causal=True))
            x = self.add(x, self.cross_norm, lambda y: self.cross(y, memory, seen=seen))
        return self.add(x, self.norm, self.feed)

    def advance(self, x: Tensor, seen: Tensor | None, state: State) -> Tensor:
        """Return the decoder's layer of one more token, x [B, 1, width]; adds it to `state`."""

        def look(y: Tensor) -> Tensor:
            for name, more in zip(("keys", "values"), self.attention.pairs(y), strict=True):
                state[name] = torch.cat([state[name], more], 2) if name in state else more
            return self.attention.look(y, state["keys"], state["values"])

        x = self.add(x, self.attention_norm, look)
        x = self.add(
            x, self.cross_norm,
            lambda y: self.cross.look(y, *state["memory"], seen=seen),
        )  # fmt: skip
        return self.add(x, self.norm, self.feed)

    def add(self, x: Tensor, norm: nn.Module, part: Callable[[Tensor], Tensor]) -> Tensor:
        """Return tokens with what a part of the layer makes of them added."""
        if self.pre_norm:
            return x + self.dropout(part(norm(x)))  # type: ignore[no-any-return]
        return norm(x + self.dropout(part(x)))  # type: ignore[no-any-return]

    def feed(self, x: Tensor) -> Tensor:
        """Return the position-wise part, without its sum."""
        return self.down(F.relu(self.up(x)))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Encoder and decoder; numbers of tokens, or vectors in their place, become scores of words."""

    def __init__(
        self, vocabulary: int, padding: int, width: int, layers: tuple[int, int], heads: int,
        hidden: int, dropout: float, pre_norm: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.padding = padding
        self.embedding = nn.Embedding(vocabulary, width)
        given = (width, heads, hidden, dropout, pre_norm)
        self.encoder = nn.ModuleList(Layer(*given, decodes=False) for _ in range(layers[0]))
        self.decoder = nn.ModuleList(Layer(*given, decodes=True) for _ in range(layers[1]))
        ends = (nn.LayerNorm(width) if pre_norm else nn.Identity() for _ in range(2))
        self.encoder_norm, self.decoder_norm = ends
        self.fc = Words(vocabulary, width)
        self.fc.weight = self.embedding.weight
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, given: Tensor) -> Tensor:
        """Return the scores [B, T, V] of what follows each of the tokens `given` [B, T]."""
        memory, seen = self.encode(source)
        x = self.placed(given)
        for layer in self.decoder:
            x = layer(x, seen, memory)
        return self.fc(self.decoder_norm(x))  # type: ignore[no-any-return]

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the memory [B, S, width] of a source [B, S], and where it is no padding."""
        seen = None
        if not source.is_floating_point():
            seen = (source != self.padding)[:, None, None]
        x = self.placed(source)
        for layer in self.encoder:
            x = layer(x, seen)
        return self.encoder_norm(x), seen

    def placed(self, tokens: Tensor, start: int = 0) -> Tensor:
        """Return the vectors of tokens, the first at a place in its line, with their positions."""
        x = tokens
        if not tokens.is_floating_point():
            x = self.embedding(tokens) * math.sqrt(self.embedding.embedding_dim)
        return self.dropout(x + positions(x, start))  # type: ignore[no-any-return]

    def begin(self, source: Tensor) -> State:
        """Return what a decoder that says one token after the other knows of a source at first."""
        memory, seen = self.encode(source)
        return {
            "seen": seen,
            "layers": [{"memory": layer.cross.pairs(memory)} for layer in self.decoder],  # type: ignore[union-attr,operator]
        }

    def advance(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the scores [B, V] of what follows the tokens `words` [B], and the new state."""
        states = [dict(each) for each in state["layers"]]
        past = states[0]["keys"].shape[2] if "keys" in states[0] else 0
        x = self.placed(words[:, None], past)
        for layer, own in zip(self.decoder, states, strict=True):
            x = layer.advance(x, state["seen"], own)  # type: ignore[operator]
        return self.fc(self.decoder_norm(x))[:, 0], {**state, "layers": states}


def positions(x: Tensor, start: int) -> Tensor:
    """Return sines and cosines of the places from `start` on, [T, width] (their section 3.5)."""
    length, width = x.shape[-2:]
    place = torch.arange(start, start + length, device=x.device, dtype=torch.float32)
    pair = torch.arange(0, width, 2, device=x.device, dtype=torch.float32)
    turns = place[:, None] / 10_000 ** (pair / width)
    return torch.stack([turns.sin(), turns.cos()], -1).flatten(1).to(x.dtype)

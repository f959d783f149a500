"""Find what a net says in the other language: token by token, or by beam search."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.tasks.text.vocabulary import BEGIN, END, PAD
from lottery.terms.trees import first, mapped

NEVER = -math.inf
State = Mapping[str, Any]  # a tree of tensors whose first axis counts lines


class Speaker(Protocol):
    """What gives the next token's scores, a token at a time."""

    def begin(self, source: Tensor) -> State:
        """Return what is known of the source [B, S] before the first token."""
        ...

    def advance(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the scores [B, V] of what comes after the tokens `words` [B], and the state."""
        ...


class Whole:
    """Speaks for a net that only takes whole lines: all that was said is computed again."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def begin(self, source: Tensor) -> State:
        return {"source": source, "given": source[:, :0]}

    def advance(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        given = torch.cat([state["given"], words[:, None]], 1)
        return first(self.net(state["source"], given))[:, -1], {**state, "given": given}


def speaker(net: Any) -> Speaker:
    """Return what speaks for a net: itself, where it can go on from the token before."""
    return net if hasattr(net, "begin") and hasattr(net, "advance") else Whole(net)


@torch.no_grad()
def greedy(net: nn.Module, source: Tensor, longest: Tensor | int) -> Tensor:
    """Return for each source [B, S] what comes of the likeliest token at each place, [B, L].

    int64, without BEGIN and END, PAD after the last token. A line has at most `longest` tokens,
    which is one number or that of each line, [B]; L is at most the largest.
    """
    said, limits = speaker(net), limits_of(source, longest)
    state = said.begin(source)
    words = torch.full_like(source[:, 0], BEGIN)
    going = torch.ones_like(words, dtype=torch.bool)
    told: list[Tensor] = []
    for length in range(int(limits.max())):
        scores, state = said.advance(words, state)
        scores[:, [PAD, BEGIN]] = NEVER
        words = scores.argmax(1)
        going = going & (words != END) & (length < limits)
        if not bool(going.any()):
            break
        words = words.where(going, PAD)
        told.append(words)
    return torch.stack(told, 1) if told else source[:, :0]


@torch.no_grad()
def beam_search(
    net: nn.Module, source: Tensor, longest: Tensor | int, width: int, penalty: float
) -> Tensor:
    """Return the likeliest line for each source [B, S] of those that a beam finds, as `greedy`.

    `width` lines are followed at a time; those that have ended are ranked by
    log p / ((5 + length) / 6) ** penalty, END counted (Wu et al. 2016, eq. 14, without coverage).
    It ends where none that goes on can rank higher. Where no line ends it is the likeliest that
    does not. What a source gets is settled by itself alone, whatever others stand beside it.
    """
    said, number, limits = speaker(net), len(source), limits_of(source, longest)
    most = int(limits.max())
    largest = [lengthy(limit + 1, penalty) for limit in limits.tolist()]
    lines = torch.arange(number, device=source.device)[:, None]
    state = mapped(said.begin(source), lambda t: t.repeat_interleave(width, 0))
    words = source.new_full((number * width,), BEGIN)
    alive = torch.full((number, width), NEVER, device=source.device)  # log p of those that go on
    alive[:, 0] = 0.0  # they are all one, at first
    told = source.new_empty(number, width, 0)
    bounds = alive.new_tensor(largest)
    best = torch.full_like(alive[:, 0], NEVER)  # the rank of the best that has ended
    found = source.new_full((number, most), PAD)
    settled = torch.zeros_like(best, dtype=torch.bool)
    for length in range(1, most + 2):
        scores, state = said.advance(words, state)
        grown = F.log_softmax(scores.float(), -1).view(number, width, -1) + alive[:, :, None]
        grown[..., [PAD, BEGIN]] = NEVER
        top, which = (grown[..., END] / lengthy(length, penalty)).max(1)
        better = (top > best) & ~settled
        best = top.where(better, best)
        found = filled(told[lines[:, 0], which], most).where(better[:, None], found)
        grown[..., END] = NEVER
        alive, place = grown.flatten(1).topk(width)  # the likeliest first
        ends = ((length > limits) | (alive[:, 0] / bounds <= best)) & ~settled
        endless = ends & (best == NEVER)
        found = filled(told[:, 0], most).where(endless[:, None], found)
        settled = settled | ends
        if bool(settled.all()):
            break
        beam = place // grown.shape[2]
        told = torch.cat([told[lines, beam], (place % grown.shape[2])[:, :, None]], 2)
        state = picked(state, (lines * width + beam).flatten())
        words = told[:, :, -1].flatten()
    return found


def limits_of(source: Tensor, longest: Tensor | int) -> Tensor:
    """Return the most tokens that the line of each source may have, int64 [B]."""
    return torch.as_tensor(longest, device=source.device).expand(len(source))


def lengthy(length: int, penalty: float) -> float:
    """Return what the logarithm of a line's probability is divided by."""
    return float(((5 + length) / 6) ** penalty)


def filled(told: Tensor, longest: int) -> Tensor:
    """Return lines [B, L] with PAD up to `longest`."""
    return F.pad(told, (0, longest - told.shape[1]), value=PAD)


def picked(state: State, rows: Tensor) -> State:
    """Return the state of these rows."""
    return mapped(state, lambda t: t[rows])  # type: ignore[no-any-return]

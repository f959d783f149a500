"""What a net says: greedy and by beam, against every line that there is; cached against whole."""

import itertools
import math

import pytest
import torch
from torch import nn

from lottery.components.models.transformer import transformer
from lottery.tasks.text.decoding import Whole, beam_search, greedy, speaker
from lottery.tasks.text.vocabulary import BEGIN, END, PAD

WORDS, LONGEST = 6, 3  # two that mean something, and the unknown one


class Words:
    vocabulary, padding = WORDS, PAD


class Table(nn.Module):
    """Scores of what follows a source and the words before: drawn once for each."""

    def __init__(self, seed):
        super().__init__()
        self.seed, self.known = seed, {}

    def forward(self, source, given):
        rows = [[self.row((int(source[b, 0]), *given[b, : t + 1].tolist())) for t in range(given.shape[1])] for b in range(len(given))]
        return torch.stack([torch.stack(row) for row in rows])

    def row(self, before):
        if before not in self.known:
            draw = torch.Generator().manual_seed(hash((self.seed, *before)) % 2**31)
            self.known[before] = 2 * torch.randn(WORDS, generator=draw)
        return self.known[before]


def rank(net, source, line, penalty):
    """Return the rank of a line with its end, by the formula."""
    given, total = [BEGIN], 0.0
    for word in (*line, END):
        total += float(net.row((source, *given)).log_softmax(0)[word])
        given.append(word)
    return total / ((5 + len(line) + 1) / 6) ** penalty


def bare(line):
    return [int(word) for word in line if word != PAD]


@pytest.mark.parametrize(("seed", "penalty"), [(0, 0.6), (1, 0.0), (2, 1.0), (3, 2.0)])
def test_a_wide_beam_finds_the_best_of_all_lines(seed, penalty):
    net, sources = Table(seed), [4, 5]
    found = beam_search(net, torch.tensor(sources)[:, None], LONGEST, WORDS**LONGEST, penalty)
    for source, line in zip(sources, found, strict=True):
        every = (p for n in range(LONGEST + 1) for p in itertools.product(range(3, WORDS), repeat=n))
        assert bare(line) == list(max(every, key=lambda p: rank(net, source, p, penalty)))


@pytest.mark.parametrize("seed", range(6))
def test_greedy_takes_the_likeliest_each_time(seed):
    net, sources = Table(seed), [3, 4, 5]
    found = greedy(net, torch.tensor(sources)[:, None], LONGEST)
    for row, source in enumerate(sources):
        line = []
        while len(line) < LONGEST:
            scores = net.row((source, BEGIN, *line)).tolist()
            word = max(range(END, WORDS), key=lambda w: scores[w])
            if word == END:
                break
            line.append(word)
        assert bare(found[row]) == line
    assert found.shape[1] <= LONGEST


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_is_no_worse_than_greedy_without_a_penalty(seed):
    net, source = Table(seed), torch.tensor([[4]])
    one, four = (bare(beam_search(net, source, LONGEST, width, 0.0)[0]) for width in (1, 4))
    assert rank(net, 4, four, 0.0) >= rank(net, 4, one, 0.0) - 1e-6


class Endless(nn.Module):
    def forward(self, source, given):
        scores = torch.zeros(*given.shape, WORDS)
        scores[..., 4] = 3.0
        scores[..., END] = -math.inf
        return scores


def test_what_comes_to_no_end_stops_at_the_longest():
    source = torch.tensor([[4], [5]])
    for found in (greedy(Endless(), source, 5), beam_search(Endless(), source, 5, 3, 0.6)):
        assert found.tolist() == [[4] * 5] * 2


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_each_line_has_a_limit_of_its_own(seed, width):
    """What ends within it, what does not, and what has nothing to say: as each would be alone."""

    def told(net, source, longest):
        return greedy(net, source, longest) if width == 1 else beam_search(net, source, longest, width, 0.6)

    for net, source in ((Table(seed), torch.tensor([[3], [4], [5]])), (Endless(), torch.tensor([[4], [5], [3]]))):
        limits = torch.tensor([1, LONGEST, 2])
        together = told(net, source, limits)
        for row, limit in enumerate(limits.tolist()):
            alone = bare(told(net, source[row : row + 1], limit)[0])
            assert bare(together[row]) == alone and len(alone) <= limit
        assert not isinstance(net, Endless) or [len(bare(line)) for line in together] == limits.tolist()


@pytest.mark.parametrize("pre_norm", [True, False])
def test_a_net_that_goes_on_says_what_it_would_say_anew(pre_norm):
    torch.manual_seed(0)
    net = transformer(Words, width=8, encoder=2, decoder=2, heads=2, hidden=12, dropout=0.5, pre_norm=pre_norm, init="xavier_uniform").eval()
    source = torch.tensor([[4, 5, 3, END], [5, END, PAD, PAD], [3, 3, END, PAD]])
    assert speaker(net) is net and isinstance(speaker(Endless()), Whole)
    given = torch.tensor([[BEGIN, 4, 3, 5]] * 3)
    whole, state = net(source, given), net.begin(source)
    for place in range(4):
        scores, state = net.advance(given[:, place], state)
        torch.testing.assert_close(scores, whole[:, place], atol=1e-6, rtol=1e-5)

    class Plain(nn.Module):
        def forward(self, source, given):
            return net(source, given)

    for width in (1, 3):
        assert torch.equal(beam_search(net, source, 7, width, 0.6), beam_search(Plain(), source, 7, width, 0.6))
    assert torch.equal(greedy(net, source, 7), greedy(Plain(), source, 7))
    alone = greedy(net, source[1:2, :2], 7)
    assert bare(alone[0]) == bare(greedy(net, source, 7)[1])  # padding and others change nothing

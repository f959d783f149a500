"""Exact selection: literal scores, then agreement with a stable sort on whatever is drawn."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery.errors import DivergedError
from lottery.pruning import selection

INF, NAN = float("inf"), float("nan")
TINY = 1e-45  # the smallest float32 above 0
AWKWARD = [0.0, -0.0, TINY, -TINY, 0.5, -0.5, 1.0, 1.0 + 2**-23, -1.0, 3e38, -3e38, INF, -INF]


def naive(scores, keep, number):
    """Sort everything, highest first, equals by index; take the first `number`."""
    flat = torch.cat([s.double().reshape(-1) for s in scores]).tolist()
    kept = torch.cat([k.reshape(-1) for k in keep]).tolist()
    order = sorted((i for i, k in enumerate(kept) if k), key=lambda i: -flat[i])
    return set(order[:number])


def chosen(masks):
    return set(torch.nonzero(torch.cat([m.reshape(-1) for m in masks])).flatten().tolist())


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_agrees_with_a_stable_sort(data):
    values = data.draw(st.sampled_from([
        st.sampled_from([1.0, 2.0]),  # almost all are equal
        st.sampled_from(AWKWARD),
        st.floats(width=32, allow_nan=False),
    ]))  # fmt: skip
    dtype = data.draw(st.sampled_from([torch.float32, torch.float32, torch.float64]))
    scores, keep = [], []
    for size in data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=4)):
        row = data.draw(st.lists(values, min_size=size, max_size=size))
        kept = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
        scores.append(torch.tensor(row, dtype=dtype))
        keep.append(torch.tensor(kept, dtype=torch.bool))
    number = data.draw(st.integers(0, sum(int(k.sum()) for k in keep)))
    size = data.draw(st.sampled_from([1, 3, 5, 2**20]))
    found = selection.highest(scores, keep, number, size)
    assert chosen(found) == naive(scores, keep, number)


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("kind", ["normal", "rounded", "equal", "bits"])
def test_agrees_with_a_stable_sort_in_many_pieces(kind, threads):
    draw = torch.Generator().manual_seed(threads)
    flat = torch.randn(40_000, generator=draw)
    if kind == "rounded":
        flat = (flat * 4).round() / 4
    elif kind == "equal":
        flat.fill_(0.25)
    elif kind == "bits":  # every exponent, normal or not, and infinities
        words = torch.randint(-(2**31), 2**31, flat.shape, generator=draw)
        flat = words.to(torch.int32).view(torch.float32)
        flat[flat.isnan()] = -INF
    scores = [flat[:7].clone(), flat[7:30_007].view(100, 3, 100), flat[30_007:]]
    keep = [torch.rand(s.shape, generator=draw) < 0.6 for s in scores]
    left = sum(int(k.sum()) for k in keep)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for number in (1, 777, left // 2, left - 1):
            found = selection.highest(scores, keep, number, size=1000)
            assert chosen(found) == naive(scores, keep, number)
            assert [f.shape for f in found] == [s.shape for s in scores]
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_neighbours_in_the_last_bit_are_told_apart():
    one = torch.tensor([1.0])
    above = torch.nextafter(one, torch.tensor([2.0]))
    found = selection.highest([torch.cat([one, above, -above, -one])], [torch.ones(4).bool()], 3)
    assert found[0].tolist() == [True, True, False, True]


def test_the_two_zeros_are_equal():
    scores = [torch.tensor([-1.0, -0.0, 0.0, -0.0])]
    found = selection.highest(scores, [torch.ones(4).bool()], 2)
    assert found[0].tolist() == [False, True, True, False]


def test_flushed_denormals_change_nothing():
    scores = [torch.tensor([0.0, TINY, 2 * TINY, -TINY])]
    try:
        torch.set_flush_denormal(True)
        found = selection.highest(scores, [torch.ones(4).bool()], 2, size=1)
    finally:
        torch.set_flush_denormal(False)
    assert found[0].tolist() == [False, True, True, False]


def test_scores_in_another_memory_order_are_read_by_index():
    scores = torch.arange(16.0).view(1, 4, 2, 2).to(memory_format=torch.channels_last)
    keep = torch.ones_like(scores, dtype=torch.bool)
    for number in (3, 16):
        found = selection.highest([scores], [keep], number, size=5)[0]
        assert found.is_contiguous()
        assert found.reshape(-1).tolist() == [False] * (16 - number) + [True] * number


def test_half_precision_is_compared_exactly():
    scores = torch.tensor([0.5, 0.25, -1.0, 0.75])
    keep = [torch.ones(4, dtype=torch.bool)]
    for dtype in (torch.float16, torch.bfloat16):
        found = selection.highest([scores.to(dtype)], keep, 2)[0]
        assert found.tolist() == [True, False, False, True]


@pytest.mark.parametrize("number", [0, 2, 3])
def test_no_number_is_refused_but_not_where_nothing_is_kept(number):
    keep = [torch.tensor([True, False, True, True])]
    selection.highest([torch.tensor([1.0, NAN, 2.0, 3.0])], keep, number, size=2)
    for bad in (NAN, -NAN):
        with pytest.raises(DivergedError, match="not a number"):
            selection.highest([torch.tensor([1.0, 0.0, 2.0, bad])], keep, number, size=2)


def test_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match="3 weights asked, 2 are left"):
        selection.highest([torch.ones(3)], [torch.tensor([True, False, True])], 3)


def test_no_thread_is_left_and_an_error_gives_the_threads_back():
    before, alive = torch.get_num_threads(), threading.active_count()
    scores = [torch.full((100,), NAN)]
    with pytest.raises(DivergedError):
        selection.highest(scores, [torch.ones(100, dtype=torch.bool)], 3, size=10)
    assert (torch.get_num_threads(), threading.active_count()) == (before, alive)


@pytest.mark.gpu
def test_a_gpu_makes_the_same_mask():
    draw = torch.Generator().manual_seed(0)
    scores = [(torch.randn(300_000, generator=draw) * 100).round(), torch.randn(5, generator=draw)]
    keep = [torch.rand(s.shape, generator=draw) < 0.7 for s in scores]
    here = selection.highest(scores, keep, 50_000, size=10_000)
    there = selection.highest([s.cuda() for s in scores], [k.cuda() for k in keep], 50_000, 70_000)
    assert all(torch.equal(a, b.cpu()) for a, b in zip(here, there))

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lottery.errors import DivergedError, UsageError
from lottery.pruning.keep import apportion, keep_top
from lottery.terms import mask as masks


def tensors(*rows):
    return {f"l{i}": torch.tensor(row) for i, row in enumerate(rows)}


def test_keeps_the_highest_scores_of_the_whole_net():
    mask = tensors([True, True], [True, True])
    kept = keep_top(tensors([0.4, 0.1], [0.2, 0.3]), mask, 2)
    assert kept["l0"].tolist() == [True, False]
    assert kept["l1"].tolist() == [False, True]


def test_a_tie_keeps_the_lower_index_and_the_earlier_layer():
    mask = tensors([True, True, True], [True, True])
    kept = keep_top(tensors([1.0, 1.0, 2.0], [1.0, 1.0]), mask, 3)
    assert kept["l0"].tolist() == [True, True, True]
    assert kept["l1"].tolist() == [False, False]


def test_what_is_pruned_never_comes_back_whatever_its_score():
    mask = tensors([False, True, True])
    kept = keep_top(tensors([9.0, 1.0, 2.0]), mask, 1)
    assert kept["l0"].tolist() == [False, False, True]


def test_a_score_that_is_no_number_is_refused_but_not_where_nothing_is_kept():
    mask = tensors([False, True, True])
    keep_top(tensors([float("nan"), 1.0, 2.0]), mask, 1)
    with pytest.raises(DivergedError, match="not a number"):
        keep_top(tensors([0.0, float("nan"), 2.0]), mask, 1)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_keep_top_agrees_with_sorting(data):
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    values = st.sampled_from([-1.0, 0.0, 0.5, 2.0, float("inf"), float("-inf")])
    scores, mask = {}, {}
    for index, size in enumerate(sizes):
        scores[str(index)] = torch.tensor(data.draw(st.lists(values, min_size=size, max_size=size)))
        keep = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
        mask[str(index)] = torch.tensor(keep)
    left = masks.kept(mask)
    number = data.draw(st.integers(0, left))
    flat = [
        (-float(s), i)
        for i, (s, m) in enumerate(zip(torch.cat([*scores.values()]), torch.cat([*mask.values()])))
        if m
    ]
    expected = {i for _, i in sorted(flat)[:number]}
    found = torch.cat([*keep_top(scores, mask, number).values()])
    assert set(torch.nonzero(found).flatten().tolist()) == expected


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_apportion_is_exact_and_stays_within_the_caps(data):
    size = data.draw(st.integers(1, 6))
    shares = {str(i): data.draw(st.floats(0.0, 100.0)) for i in range(size)}
    caps = {str(i): data.draw(st.integers(0, 50)) for i in range(size)}
    number = data.draw(st.integers(0, sum(caps.values())))
    counts = apportion(shares, caps, number)
    assert sum(counts.values()) == number
    assert all(0 <= counts[name] <= caps[name] for name in caps)


def test_apportion_rounds_the_largest_remainder_up():
    assert apportion({"a": 1.0, "b": 2.0}, {"a": 9, "b": 9}, 4) == {"a": 1, "b": 3}
    assert apportion({"a": 1.0, "b": 3.0}, {"a": 9, "b": 3}, 8) == {"a": 5, "b": 3}
    with pytest.raises(ValueError, match="5 weights asked, 4 are left"):
        apportion({"a": 1.0}, {"a": 4}, 5)


def test_packed_masks_come_back(tmp_path):
    mask = {"a": torch.rand(3, 7) < 0.5, "b": torch.rand(2, 2, 3) < 0.5}
    packed = masks.pack(mask)
    assert packed["a"].numel() == 3  # 21 bits
    back = masks.unpack(packed, {n: m.shape for n, m in mask.items()})
    assert all(torch.equal(back[n], mask[n]) for n in mask)


def test_prunable_are_the_weights_of_convolutions_and_linear_layers():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    assert list(masks.prunable(model)) == ["0.weight", "3.weight"]
    assert list(masks.dense(model, exclude=["3"])) == ["0.weight"]
    with pytest.raises(UsageError, match="no prunable layer fits the pattern 'fc'"):
        masks.dense(model, exclude=["fc"])
    with pytest.raises(UsageError, match="leave no layer"):
        masks.dense(model, exclude=["*"])


def test_pruned_weights_are_positive_zero():
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-3.0, 2.0]]))
    mask = {"weight": torch.tensor([[False, True]])}
    masks.apply_(model, mask)
    masks.check_zero(model.state_dict(), mask)
    assert model.weight.tolist() == [[0.0, 2.0]]
    with torch.no_grad():
        model.weight[0, 0] = -0.0
    with pytest.raises(AssertionError, match="are not 0.0"):
        masks.check_zero(model.state_dict(), mask)


def test_check_finds_a_revived_weight_and_a_wrong_count():
    before = {"a": torch.tensor([True, False])}
    with pytest.raises(AssertionError, match="revived 1"):
        masks.check(before, {"a": torch.tensor([False, True])}, 1)
    with pytest.raises(AssertionError, match="kept 1 weights, 2"):
        masks.check(before, {"a": torch.tensor([True, False])}, 2)

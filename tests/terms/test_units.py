"""Units: exact counts of single weights, the most whole units that fit, pooling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery.config import build
from lottery.errors import UsageError
from lottery.terms import mask as masks
from lottery.terms import units
from lottery.terms.units import Units


def allocation(name, **more):
    return build.bind("allocation", {"name": name, **more}, "here")


def rows_of(mask, scores):
    """Return units that are the rows of each matrix."""
    return Units(
        scores,
        {name: keep.any(1) for name, keep in mask.items()},
        lambda chosen: {name: mask[name] & chosen[name][:, None] for name in mask},
    )


def full(**shapes):
    return {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}


def test_single_weights_are_counted_exactly():
    mask = full(a=(2, 2))
    scores = {"a": torch.tensor([[1.0, 4], [3, 2]])}
    exact = Units(scores, mask, lambda chosen: chosen, whole=False)
    kept = units.allocate(exact, allocation("globally"), 0.75, mask)
    assert kept["a"].tolist() == [[False, True], [True, True]]


def test_the_most_whole_units_that_fit_are_kept():
    """Rows of 3 weights and of 1: of 8 weights 5 fit, so rows 3, 1, 1."""
    mask = full(a=(2, 3), b=(2, 1))
    scores = {"a": torch.tensor([4.0, 1]), "b": torch.tensor([3.0, 2])}
    kept = units.allocate(rows_of(mask, scores), allocation("globally"), 7 / 8, mask)
    assert kept["a"].tolist() == [[True] * 3, [False] * 3]
    assert kept["b"].tolist() == [[True], [True]]
    kept = units.allocate(rows_of(mask, scores), allocation("globally"), 4 / 8, mask)
    assert masks.kept(kept) == 4
    kept = units.allocate(rows_of(mask, scores), allocation("globally"), 3 / 8, mask)
    assert kept["a"].tolist() == [[True] * 3, [False] * 3]
    assert not kept["b"].any()


def test_a_tie_keeps_the_unit_of_lower_index():
    mask = full(a=(3, 2))
    kept = units.allocate(
        rows_of(mask, {"a": torch.ones(3)}), allocation("globally"), 2 / 3, mask
    )
    assert kept["a"].tolist() == [[True, True], [True, True], [False, False]]


def test_pruned_weights_of_a_kept_unit_stay_pruned():
    mask = {"a": torch.tensor([[True, False], [True, True], [False, False]])}
    rows = Units(
        {"a": torch.tensor([2.0, 1, 9])},
        {"a": mask["a"].any(1)},
        lambda chosen: {"a": chosen["a"][:, None].expand(3, 2)},
    )
    assert masks.kept(units.allocate(rows, allocation("globally"), 3 / 6, mask)) == 3
    kept = units.allocate(rows, allocation("globally"), 2 / 6, mask)
    assert kept["a"].tolist() == [[True, False], [False, False], [False, False]]


def test_what_cannot_be_reached_is_said_in_one_line():
    mask = full(a=(2, 3))
    rows = rows_of(mask, {"a": torch.tensor([1.0, 2])})
    with pytest.raises(UsageError, match="0.2 is below 0.5, the lowest"):
        units.allocate(rows, allocation("globally"), 0.2, mask)
    few = Units({"a": torch.rand(2, 3)}, {"a": torch.eye(2, 3).bool()}, lambda c: c, whole=False)
    with pytest.raises(UsageError, match="0.5 is above 0.333333, the highest"):
        units.allocate(few, allocation("globally"), 0.5, mask)
    with pytest.raises(UsageError, match="erk spreads by the shape"):
        units.allocate(rows, allocation("erk"), 0.5, mask)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_bisection_finds_what_counting_finds(data):
    """Globally, the k best units in turn: the largest k whose weights are not more than asked."""
    shapes = {n: (data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))) for n in "ab"}
    mask = full(**shapes)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    scores = {n: torch.rand(s[0], generator=generator) for n, s in shapes.items()}
    density = data.draw(st.floats(0.1, 1.0))
    wanted = masks.count(density, mask)
    sizes = sorted(
        ((float(v), shapes[n][1]) for n in "ab" for v in scores[n]), key=lambda pair: -pair[0]
    )
    expected, total = 0, 0
    for _, size in sizes:
        total += size
        if total > wanted:
            break
        expected = total
    rows = rows_of(mask, scores)
    if not expected:
        with pytest.raises(UsageError):
            units.allocate(rows, allocation("globally"), density, mask)
    else:
        assert masks.kept(units.allocate(rows, allocation("globally"), density, mask)) == expected


@pytest.mark.parametrize(
    ("how", "expected"),
    [("l1", [7, 0, -1]), ("l2", [5, 0, -1]), ("mean", [3.5, 0, -1]), ("max", [4, 0, -1])],
)
def test_pooling_counts_kept_weights_only_and_keeps_the_sign(how, expected):
    """Unit 0 holds 3 and 4 of two layers, unit 2 holds -1; unit 1 has nothing left."""
    parts = [
        (torch.tensor([0, 1]), torch.tensor([[3.0, 9], [9, 9]]), torch.tensor([[True, False], [False, False]])),
        (torch.tensor([2, 0]), torch.tensor([[-1.0], [4]]), torch.tensor([[True], [True]])),
    ]  # fmt: skip
    values, count = units.pool(parts, 3, how)
    assert values.tolist() == expected
    assert count.tolist() == [2, 0, 1]


def test_an_unknown_pool_is_refused():
    with pytest.raises(UsageError, match="l3"):
        units.pool([], 1, "l3")

"""How far two masks are the same: over the union, and by chance."""

import math

import pytest
import torch

from lottery.experiment import tables
from lottery.terms.overlap import Shared, overlap


def test_overlap_is_intersection_over_union():
    a, b = Shared(1, 2, 2, 4), Shared(1, 1, 1, 2)
    assert overlap([a]) == (1 / 3, 1 / 3)
    assert overlap([b]) == (1.0, 0.5 / 1.5)
    assert overlap([a, b]) == (2 / 4, (1 + 0.5) / (6 - 1.5))
    assert overlap([a, Shared(1, 1, 2, 2)]) == (2 / 5, (1 + 1) / (7 - 2))
    assert all(map(math.isnan, overlap([Shared(0, 0, 0, 2)])))
    assert all(map(math.isnan, overlap([])))


def test_counts_are_those_of_the_masks():
    a, b = (torch.tensor(keep, dtype=torch.bool) for keep in ([1, 1, 0, 0], [1, 0, 1, 0]))
    assert tables.shared(a, b) == (1, 2, 2, 4)
    assert tables.overlaps({"a": a, "b": a[:2]}, {"a": b, "b": a[:2]}) == {
        "a": (1 / 3, 1 / 3), "b": (1.0, 1.0)
    }  # fmt: skip


def test_chance_is_what_random_masks_share():
    draw = torch.Generator().manual_seed(0)
    found = []
    for _ in range(20):
        a, b = (torch.rand(2000, generator=draw) < density for density in (0.3, 0.6))
        found.append(overlap([tables.shared(a, b)]))
    real, expected = map(sum, zip(*found, strict=True))
    assert real / 20 == pytest.approx(expected / 20, abs=0.01)

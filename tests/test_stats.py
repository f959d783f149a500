"""Intervals, paired tests and verdicts, against scipy.stats and literal numbers."""

import math

import numpy as np
import pytest
from scipy import stats as oracle

from lottery import stats

NAN = math.nan


@pytest.mark.parametrize("count", [2, 3, 5, 30, 200])
def test_intervals_and_paired_tests_are_those_of_scipy(count):
    generator = np.random.default_rng(count)
    a, b = generator.normal(0.97, 0.01, count), generator.normal(0.96, 0.01, count)
    mean, low, high = stats.interval(a.tolist())
    ends = oracle.t.interval(0.95, count - 1, loc=a.mean(), scale=oracle.sem(a))
    assert (mean, low, high) == pytest.approx((a.mean(), *ends), rel=1e-12)
    *difference, p = stats.paired(a.tolist(), b.tolist())
    found = oracle.ttest_rel(a, b)
    assert p == pytest.approx(found.pvalue, rel=1e-9)
    assert difference[0] == pytest.approx((a - b).mean())
    assert difference[1:] == pytest.approx(tuple(found.confidence_interval(0.95)))


def test_an_interval_by_hand():
    """Of 1, 2, 3: mean 2, deviation 1, t(2) = 4.30265."""
    reach = 4.302653 / 3**0.5
    assert stats.interval([1, 2, 3]) == pytest.approx((2, 2 - reach, 2 + reach))


def test_what_there_is_not_is_nan():
    assert stats.interval([0.5, NAN]) == pytest.approx((0.5, NAN, NAN), nan_ok=True)
    assert all(map(math.isnan, stats.interval([])))
    assert all(map(math.isnan, stats.paired([], [])))
    assert stats.paired([0.5], [0.4]) == pytest.approx((0.1, NAN, NAN, NAN), nan_ok=True)
    assert stats.interval([0.5, math.inf, 0.7])[0] == pytest.approx(0.6)


def test_a_pair_without_a_number_is_left_out():
    whole = stats.paired([0.9, 0.8, 0.7], [0.8, 0.75, 0.5])
    assert stats.paired([0.9, NAN, 0.8, 0.7, 0.1], [0.8, 0.1, 0.75, 0.5, NAN]) == whole


def test_equal_differences_have_no_p_even_where_they_are_rounded():
    """One image of 360 each, and not the same float."""
    a, b = [350 / 360, 35 / 360, 3 / 360], [349 / 360, 34 / 360, 2 / 360]
    assert len({x - y for x, y in zip(a, b, strict=True)}) > 1
    mean, low, high, p = stats.paired(a, b)
    assert low == mean == high == pytest.approx(1 / 360)
    assert math.isnan(p)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.02, 0.021, 0.022], stats.BEATS),
        ([0.004, 0.0041, 0.0042], stats.MATCHES),  # surely above, and too little to matter
        ([-0.02, -0.021, -0.022], stats.FALLS),
        ([-0.004, -0.0041, -0.0042], stats.MATCHES),  # surely below, and within the tolerance
        ([0.001, -0.001, 0.0], stats.MATCHES),
        ([0.0, 0.0, 0.0], stats.MATCHES),
        ([0.008, 0.001, 0.009], stats.MATCHES),  # perhaps above; surely not below the tolerance
        ([-0.03, 0.01, 0.0], stats.UNCLEAR),
        ([-0.0055, -0.004, -0.0048], stats.UNCLEAR),  # surely below; how far is not sure
        ([0.005, 0.01, 0.0075], stats.BEATS),
        ([0.02, 0.0, 0.021, NAN], stats.UNCLEAR),
        ([0.1, 0.1], "(2 replicates)"),
        ([0.1, NAN], "(1 replicate)"),
        ([], ""),
    ],
)
def test_verdicts(differences, verdict):
    assert stats.verdict(differences) == verdict


def test_the_tolerance_decides():
    below = [-0.009, -0.01, -0.011]
    assert stats.verdict(below) == stats.FALLS
    assert stats.verdict(below, tolerance=0.02) == stats.MATCHES
    assert stats.verdict([0.001, 0.0011, 0.0012], tolerance=0) == stats.BEATS
    assert stats.verdict([0.0, 0.0, 0.0], tolerance=0) == stats.MATCHES

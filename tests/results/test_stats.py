"""Intervals, paired tests and verdicts, against scipy.stats and literal numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from lottery.results import stats
from lottery.results.comparison import Group
from lottery.results.reports import findings

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
        ([0.0, 0.0, 0.0], stats.SAME),
        ([0.1, 0.1, 0.1], stats.SAME),
        ([350 / 360 - 349 / 360, 35 / 360 - 34 / 360, 3 / 360 - 2 / 360], stats.SAME),
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
    assert stats.verdict([0.0, 0.0001, 0.0], tolerance=0) == stats.UNCLEAR
    assert stats.verdict([0.0, 0.0, 0.0], tolerance=0) == stats.SAME


def test_holm_by_hand():
    """Holm 1979: of 0.01, 0.04, 0.03 the first times 3, the last times 2, and none below another."""
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.6, NAN, 0.5]) == pytest.approx([1.0, NAN, 1.0], nan_ok=True)
    assert stats.holm([]) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_rejects_as_the_paper_steps_down(ps):
    """The lowest while it is at most 0.05 / n, then the next at 0.05 / (n - 1), until one is not."""
    rejected = set()
    for place, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        if ps[index] * (len(ps) - place) >= stats.ALPHA:
            break
        rejected.add(index)
    assert {i for i, p in enumerate(stats.holm(ps)) if p < stats.ALPHA} == rejected


def test_the_family_is_what_has_three_replicates_the_same_ones_too():
    beats = [0.02, 0.021, 0.022]
    found = stats.tested([beats, [0.1, 0.1, 0.1], [0.3, 0.1], [], [0.01, 0.03, 0.05]])
    assert [test.family for test in found] == [3] * 5
    first, same, two, none, last = found
    assert first.adjusted == pytest.approx(3 * first.p)
    assert last.adjusted == pytest.approx(2 * last.p)
    assert math.isnan(same.p) and math.isnan(same.adjusted)
    assert two.p > 0 and math.isnan(two.adjusted) and math.isnan(none.p)
    alone = stats.tested([beats, [0.3, 0.1]], "none")
    assert [(t.family, t.p == t.adjusted) for t in alone] == [(0, True), (0, True)]
    assert stats.verdict(beats, p=first.adjusted) == stats.BEATS
    assert stats.verdict(beats, p=0.06) == stats.MATCHES
    assert stats.verdict([-d for d in beats], p=0.06) == stats.UNCLEAR


LEVELS, IMAGES = 18, 360
MOST = 0.05  # of experiments without any true difference, those with a wrong verdict


@pytest.fixture(scope="module")
def experiments():
    """Return experiments in which a dense net and 18 tickets are right with 90 %, of 3 replicates."""
    draw = np.random.default_rng(9)
    right = draw.binomial(IMAGES, 0.9, (400, LEVELS + 1, 3)) / IMAGES
    return [
        Group("A", (), {n: {k: {"density": 0.8**n, "test_accuracy": a} for k, a in enumerate(own)}
                        for n, own in enumerate(each.tolist())})
        for each in right
    ]  # fmt: skip


def wrong(rows):
    return any(row.verdict in (stats.BEATS, stats.FALLS) for row in rows)


def test_without_a_difference_one_experiment_in_twenty_may_be_wrong(experiments):
    """The pages' own way: levels, verdicts, the headline; each for itself four in ten are wrong."""
    judged = [findings.reached(group, stats.TOLERANCE) for group in experiments]
    mistaken = sum(map(wrong, judged))
    assert 0 < mistaken <= MOST * len(experiments)
    by = findings.measure(experiments[0])
    said = [findings.sentences(rows, by) for rows in judged]
    assert sum("beats" in lines[0] or "falling" in lines[0] for lines in said) <= mistaken
    assert {lines[-1] for lines in said} == {f"Verdicts: Holm over {LEVELS} levels."}
    alone = [findings.reached(group, stats.TOLERANCE, "none") for group in experiments[:100]]
    assert sum(map(wrong, alone)) > 0.3 * len(alone)


def test_a_true_difference_is_found(experiments):
    """Every ticket loses 60 points of each net: nothing of that is chance."""
    for group in experiments[:20]:
        for level, own in group.levels.items():
            for row in own.values() if level else ():
                row["test_accuracy"] -= 0.6
        rows = findings.reached(group, stats.TOLERANCE)[1:]
        assert sum(row.verdict in (stats.FALLS, stats.SAME) for row in rows) > LEVELS / 2


@pytest.mark.parametrize(("spread", "levels", "needed"), [(0.3, 18, 6), (1, 1, 10), (1, 18, 20), (1.5, 18, 38)])
def test_replicates_that_a_point_takes_are_those_of_the_page(spread, levels, needed):
    """The table of docs/looking.md: a power of 80 % for the level that Holm corrects most."""

    def power(n):
        limit = oracle.t.ppf(1 - stats.ALPHA / levels / 2, n - 1)
        return oracle.nct.sf(limit, n - 1, n**0.5 / spread)

    assert power(needed - 1) < 0.8 <= power(needed)

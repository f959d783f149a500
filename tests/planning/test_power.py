"""How many replicates an interval takes: as a loop over n says, and as drawn numbers do."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from lottery.planning.power import replicates
from lottery.results.stats import wilson
from lottery.terms.metric import ACCURACY, Metric

PERPLEXITY = Metric("perplexity", better="lower", mean="log")
CASES = [[0.90, 0.92, 0.91], [0.5, 0.51], [0.97, 0.9, 0.93, 0.95], [12.0, 30.0, 14.0]]


def first(half, width, most=20_000):
    return next(n for n in range(2, most) if half(n) <= width)


@pytest.mark.parametrize("values", CASES)
@pytest.mark.parametrize("share", [0.3, 1.0, 4.0])
def test_it_is_what_a_loop_over_n_finds(values, share):
    width = share * np.std(values, ddof=1)

    def half(n):
        return t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n)

    assert replicates(values, width, ACCURACY) == replicates(values, width) == first(half, width)


def test_of_a_metric_averaged_by_logarithms_it_is_half_the_distance_of_the_ends():
    logs = np.log([20.0, 24.0, 21.0])

    def half(n):
        reach = t.ppf(0.975, n - 1) * logs.std(ddof=1) / math.sqrt(n)
        return (np.exp(logs.mean() + reach) - np.exp(logs.mean() - reach)) / 2

    assert replicates([20.0, 24.0, 21.0], 1.0, PERPLEXITY) == first(half, 1.0)


def test_of_shares_of_trials_it_is_wilson_s():
    metric = Metric("success", unit="share", trials=20)

    def half(n):
        low, high = wilson(0.7, 20 * n)
        return (high - low) / 2

    assert replicates([0.6, 0.8], 0.05, metric) == first(half, 0.05)


def test_equal_values_take_two_and_far_too_wide_ones_more_than_anybody_counts():
    assert replicates([0.9, 0.9, 0.9], 1e-9) == 2
    assert replicates([0.0, 1.0], 1e-5) is None


def test_drawn_replicates_of_that_spread_have_such_an_interval():
    values, width = [0.90, 0.92, 0.91], 0.005
    n, deviation = replicates(values, width), np.std(values, ddof=1)
    draws = np.random.default_rng(0).normal(0.91, deviation, (4000, n))
    half = t.ppf(0.975, n - 1) * draws.std(axis=1, ddof=1) / math.sqrt(n)
    assert half.mean() == pytest.approx(width, rel=0.05)
    assert (abs(draws.mean(axis=1) - 0.91) <= half).mean() == pytest.approx(0.95, abs=0.015)


def test_plan_counts_them_of_what_is_on_the_disk(lottery, tiny, capsys, tmp_path):
    words = ["-m", *tiny, "levels=1", "prune=imp,random"]
    assert lottery("plan", *words, "power=0.01") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "has 0 replicates with numbers" in said
    assert lottery("run", *words, "replicate=0,1,2") == 0
    capsys.readouterr()
    assert lottery("plan", *words, "power=0.01", "format=json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["column"] == "test_accuracy"
    assert [(r["what"], r["level"]) for r in found["rows"]] == [
        ("1", 0), ("1", 1), ("2", 0), ("2", 1), ("2 - 1", 0), ("2 - 1", 1),
    ]  # fmt: skip

    def values(label):
        tables = sorted(tmp_path.glob(f"outputs/*/{found['configs'][label].split('/')[-1]}/*/metrics.csv"))
        return np.array([pd.read_csv(path)["test_accuracy"][1] for path in tables])

    for row, some in zip(
        (found["rows"][1], found["rows"][5]), (values("1"), values("2") - values("1")), strict=True
    ):
        deviation = some.std(ddof=1)
        assert row["replicates"] == 3
        assert row["half"] == pytest.approx(t.ppf(0.975, 2) * deviation / math.sqrt(3))
        assert row["needed"] == first(lambda n: t.ppf(0.975, n - 1) * deviation / math.sqrt(n), 0.01)  # noqa: B023
    assert found["rows"][4]["needed"] == 2  # the dense nets are the same
    assert lottery("plan", *words, "power=0.01") == 0
    assert "2 - 1" in capsys.readouterr().out
    for wrong in ("0", "-1", "x", "", "nan"):
        assert lottery("plan", *words, f"power={wrong}") == 2
        assert "type power=0.01" in capsys.readouterr().err

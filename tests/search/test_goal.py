"""What trials are judged by: validation, the right way round, at the levels that were asked for."""

import math

import pytest

from lottery.errors import UsageError
from lottery.search import goal as module
from lottery.search.goal import Goal, NoScoreError, goal
from lottery.terms.metric import ACCURACY, LOSS, Metric

PERPLEXITY = Metric("perplexity", better="lower", mean="log")
ROWS = [{"level": n, "density": 0.5**n, "val_accuracy": v} for n, v in enumerate((0.9, 0.8, 0.85, 0.4))]


def scores(at, rows=ROWS, metric=ACCURACY):
    return Goal(f"val_{metric.name}", metric, at).of_run(rows)


def test_at_last_best_and_area():
    assert scores("last") == [0.9, 0.8, 0.85, 0.4]
    assert scores("best") == [0.9, 0.8, 0.85, 0.85]
    assert scores("area") == pytest.approx([0.9, 0.85, (0.85 + 0.825) / 2, (0.85 + 0.825 + 0.625) / 3])


def test_area_is_the_integral_over_the_logarithm_of_the_density():
    rows = [{"level": n, "density": d, "val_accuracy": v} for n, (d, v) in enumerate([(1.0, 0.9), (0.37, 0.7), (0.21, 0.75), (0.02, 0.1)])]
    known = [(-math.log(r["density"]), r["val_accuracy"]) for r in rows]

    def between(x):
        (a, low), (b, high) = next(pair for pair in zip(known, known[1:], strict=False) if x <= pair[1][0])
        return low + (high - low) * (x - a) / (b - a)

    many = 20_000
    brute = sum(between(known[-1][0] * (n + 0.5) / many) for n in range(many)) / many
    assert scores("area", rows)[-1] == pytest.approx(brute, abs=1e-6)


def test_levels_that_prune_nothing_have_a_mean():
    assert scores("area", [{**row, "density": 1.0} for row in ROWS])[-1] == pytest.approx((0.9 + 0.8 + 0.85 + 0.4) / 4)


def test_lower_is_better_where_the_metric_says_so():
    rows = [{"level": n, "density": 0.5**n, "val_perplexity": v} for n, v in enumerate((20.0, 30.0, 25.0))]
    assert scores("best", rows, PERPLEXITY) == [20.0, 30.0, 25.0]
    found = goal("", "last", (PERPLEXITY,), 10)
    assert (found.column, found.direction) == ("val_perplexity", "minimize") and found.metric.gain(1.0, 2.0) > 0
    assert goal("", "last", (ACCURACY,), 10).direction == "maximize"
    assert goal("val_loss", "last", (ACCURACY,), 10).direction == "minimize"
    assert goal("best_val_loss", "last", (ACCURACY,), 10).column == "best_val_loss"
    assert goal("val", "last", (PERPLEXITY, LOSS), 10).column == "val_perplexity"


def test_replicates_are_averaged_as_the_metric_says(monkeypatch):
    tables = {"a": [10.0, 40.0], "b": [1000.0, 10.0, 5.0]}
    monkeypatch.setattr(module, "level_rows", lambda f: [{"level": n, "density": 1, "val_perplexity": v} for n, v in enumerate(tables[f])])
    assert Goal("val_perplexity", PERPLEXITY, "last").scores(["a", "b"]) == pytest.approx([100.0, 20.0])
    tables["b"] = []
    with pytest.raises(NoScoreError, match="no level"):
        Goal("val_perplexity", PERPLEXITY, "last").scores(["a", "b"])


@pytest.mark.parametrize("value", [None, math.inf, math.nan, ""])
def test_no_number_is_no_score(value):
    with pytest.raises(NoScoreError, match="val_accuracy of level 1 is"):
        scores("last", [ROWS[0], {**ROWS[1], "val_accuracy": value}])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("test_accuracy", "test data in a choice are no test any more; type goal=val_accuracy"), ("test", "type goal=val_accuracy"),
        ("best_test_loss", "type goal=val_loss"), ("train_loss", "learned by heart"), ("val_acuracy", "did you mean 'val_accuracy'?"),
        ("accuracy", "type goal=val_accuracy"), ("zzz", "there are: val_accuracy, val_loss"),
    ],
)  # fmt: skip
def test_only_validation_may_be_a_goal(typed, said):
    with pytest.raises(UsageError) as caught:
        goal(typed, "last", (ACCURACY,), 10)
    assert said in str(caught.value)


def test_a_task_without_validation_has_nothing_to_judge_by():
    with pytest.raises(UsageError, match="type dataset.validation=N"):
        goal("", "last", (ACCURACY,), 0)

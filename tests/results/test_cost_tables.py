"""`lottery compare match=cost`: methods at equal cost of the whole ticket, against brute force."""

import csv
import io
import json
import math

import numpy as np
import pytest

RANDOM = {"choices": {"prune": "random"}, "config": {"prune.criterion": {"name": "random"}}}
DENSITIES = (1.0, 0.8, 0.64, 0.512)


@pytest.fixture
def compare(lottery, capsys):
    """Return what `lottery compare match=cost` prints, and what it says beside it."""

    def call(*words, code=0):
        capsys.readouterr()
        assert lottery("compare", "match=cost", *words) == code
        return capsys.readouterr()

    return call


@pytest.fixture
def two(fabricate):
    """IMP, whose ticket costs one training more a level, and random, which costs one and a bit."""
    for k in range(3):
        fabricate(ident="aaaaaaaaaa", replicate=k, test=(0.96, 0.97, 0.962 + 0.001 * k, 0.90),
                  ticket_macs=(100, 200, 300, 400), ticket_steps=(10, 20, 30, 40))  # fmt: skip
        fabricate("lenet_300_100_digits_random", "bbbbbbbbbb", replicate=k,
                  test=(0.96, 0.957, 0.93, 0.91), ticket_macs=(100, 101, 101, 101),
                  ticket_steps=(10, 10, 10, 10), **RANDOM)  # fmt: skip


def rows_of(compare, *words):
    return list(csv.DictReader(io.StringIO(compare(*words, "format=csv").out)))


def test_the_level_of_a_density_stands_where_the_budget_pays_for_it(two, compare):
    rows = rows_of(compare, "at=0.64")
    found = {(row["method"], float(row["budget"])): row["mean"] for row in rows}
    assert {budget for _, budget in found} == {1.0, 2.0, 5.0}  # 5 pays for all, so 10 is no column
    assert [found["imp", size] for size in (1.0, 2.0)] == ["", ""]
    assert float(found["imp", 5.0]) == pytest.approx(0.963)
    assert {float(found["random", size]) for size in (1.0, 2.0, 5.0)} == {0.93}
    said = compare("at=0.64").err + compare("at=0.64").out
    assert "note: imp takes 3x to density 0.64" in said
    assert "1x: a training of the dense net of imp (100 multiply-accumulates, dense)" in said


def test_without_a_density_it_is_the_sparsest_level_that_matches_in_validation(two, compare):
    rows = {(r["method"], float(r["budget"])): r["level"] for r in rows_of(compare, "budget=1,3x,9")}
    assert rows == {
        ("imp", 1.0): "", ("imp", 3.0): "2", ("imp", 9.0): "2",
        ("random", 1.0): "1", ("random", 3.0): "1", ("random", 9.0): "1",
    }  # fmt: skip
    text = compare("budget=1,3").out
    assert "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}96.30" in text and "95.70 ± 0.00 at 80 %" in text
    assert "within: no more than 2 % above" in text and "no more than 0.5 points worse" in text
    loose = rows_of(compare, "budget=1", "tolerance=0.5")
    assert [row["level"] for row in loose] == ["", "3"]
    assert r"\textbf{96.30" in compare("format=latex").out
    assert "**96.30" in compare("format=markdown").out


def test_a_test_split_chooses_nothing(fabricate, compare):
    """The test accuracy of the last level is the best of all, but its validation is not."""
    for k in range(2):
        fabricate(ident="aaaaaaaaaa", replicate=k, test=(0.9, 0.9, 0.2),
                  ticket_macs=(1, 1, 1), test_accuracy=(0.9, 0.8, 1.0))  # fmt: skip
    (row,) = rows_of(compare, "budget=1")
    assert (row["level"], row["mean"]) == ("1", "0.8")


def test_no_validation_split_is_refused_and_what_is_to_be_typed_works(fabricate, compare):
    none = dict.fromkeys(("val_accuracy",), (math.nan,) * 2)
    fabricate(test=(0.9, 0.9), ticket_macs=(2, 4), **none)
    assert "name densities, as in at=0.2" in compare(code=2).err
    (row, _) = rows_of(compare, "at=0.8", "budget=2,1")
    assert (row["budget"], row["mean"]) == ("1.0", "")


def test_less_is_better(fabricate, compare):
    record = {"metrics": [{"name": "loss_of", "better": "lower", "tolerance": 0.1}]}
    for k, shift in enumerate((0.0, 0.02)):
        fabricate(replicate=k, test=(1.0, 0.9 + shift, 1.05 + shift, 1.2), metric="loss_of",
                  ticket_macs=(1, 1, 1, 1), record=record)  # fmt: skip
    (row,) = rows_of(compare, "budget=1")
    assert (row["level"], row["metric"]) == ("2", "test_loss_of")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["layout=ranks"], "leave out match=cost"), (["budget=0"], "0 is no budget; type budget="),
        (["budget=much"], "much is no budget"), (["cost=money"], "macs_kept"),
        (["cost=energy"], "no run says what its dense net cost (ticket_energy)"),
    ],
)  # fmt: skip
def test_what_is_refused(two, compare, words, said):
    assert said in compare(*words, code=2).err


def test_budgets_are_for_match_cost(two, lottery, capsys):
    assert lottery("compare", "budget=3") == 2
    assert "are for match=cost; add it" in capsys.readouterr().err


def test_an_unknown_cost_is_said(two, fabricate, compare):
    other = {"choices": {"prune": "snip"}, "config": {"prune.criterion": {"name": "snip"}}}
    fabricate("other", "cccccccccc", test=(0.9, 0.9), ticket_macs=(math.nan, math.nan), **other)
    assert "snip: what its ticket cost is not known" in compare("at=0.8").out
    assert "of those that do it is not known what they cost" in compare().out


def test_both_ways_are_a_loop_over_levels(fabricate, compare):
    """Random runs against numpy: five configs, three replicates, costs that differ among them."""
    rng = np.random.default_rng(0)
    runs = {}
    for index in range(5):
        cost = np.cumsum(rng.uniform(0.2, 2.0, (3, 4)), axis=1)
        cost[:, 0] = 1.0 if index == 0 else cost[:, 0]
        val, test = rng.normal(0.9, 0.004, (2, 3, 4))
        runs[f"m{index}"] = cost, val, test
        for k in range(3):
            fabricate(
                "e", f"{'abcde'[index] * 10}", replicate=k, test=val[k], ticket_macs=cost[k],
                test_accuracy=test[k], choices={"prune": f"m{index}"},
                config={"prune.criterion": {"name": f"m{index}"}},
            )  # fmt: skip
    rows = json.loads(compare("budget=1,2,4", "format=json").out)["rows"]
    at = json.loads(compare("budget=1,2,4", "at=0.64", "format=json").out)["rows"]
    assert len(rows) == len(at) == 15
    for row, other in zip(rows, at, strict=True):
        cost, val, test = runs[row["method"]]
        level = None
        for n in range(1, 4):
            paid = cost[:, n].mean() <= row["budget"] * 1.02
            if paid and (val[:, n] - val[:, 0]).mean() >= -0.005:
                level = n
        assert row["level"] == level
        if level is not None:
            assert row["mean"] == pytest.approx(test[:, level].mean())
            assert row["cost"] == pytest.approx(cost[:, level].mean())
        paid = cost[:, 2].mean() <= row["budget"] * 1.02
        assert other["mean"] == (pytest.approx(test[:, 2].mean()) if paid else None)

"""What of a paper is made again: published numbers beside ours, and claims judged."""

import math
import shlex

import pytest

from lottery.errors import UsageError
from lottery.results import reproduced, reproductions
from lottery.results.reproduced import HOLDS, NOT_HERE, OPEN, REVERSED, Measured
from lottery.terms.metric import ACCURACY, Metric

ALL = reproductions.files()
LOSS = Metric("perplexity", better="lower", mean="log")
SAID = {
    "paper": "P", "shows": "S", "source": "none", "tolerance": 0.01,
    "budgets": {"paper": {"runs": ["prune=imp"]}, "smoke": {"runs": ["prune=imp"], "differs": "data"}},
    "rows": {"a": {"published": {0.5: [90.0, 1.0], 0.2: 80.0}}, "b": {}},
    "claims": [{"say": "a beats b", "better": "a", "than": "b"}],
}  # fmt: skip


@pytest.fixture
def measured(monkeypatch):
    """Return what is measured of rows given as {row: {place: [a value a replicate]}}."""

    def call(rows, claims, budget="smoke", metric=ACCURACY, **more):
        said = SAID | {"rows": {label: SAID["rows"].get(label, {}) for label in rows}, "claims": claims} | more

        def gathered(self, label):
            self.metrics[label] = self.units[label] = metric
            return {place: dict(enumerate(values)) for place, values in rows[label].items()}

        monkeypatch.setattr(Measured, "gathered", gathered)
        return Measured(reproductions.understood("p:f", said), budget, None)

    return call


def verdicts(found):
    return [row["verdict"] for row in found.judged()]


@pytest.mark.parametrize(("kind", "metric", "a", "b", "said"), [
    ("better", ACCURACY, [0.9, 0.91, 0.92], [0.8, 0.81, 0.821], HOLDS),
    ("better", ACCURACY, [0.8, 0.81, 0.821], [0.9, 0.91, 0.92], REVERSED),
    ("better", ACCURACY, [0.9, 0.7, 0.8], [0.8, 0.81, 0.79], OPEN),
    ("better", LOSS, [10.0, 11.0, 12.0], [20.0, 21.0, 22.1], HOLDS),  # less of it is better
    ("better", LOSS, [20.0, 21.0, 22.1], [10.0, 11.0, 12.0], REVERSED),
    ("better", ACCURACY, [0.9, 0.91], [0.8, 0.81], "2 replicates: no verdict"),
    ("better", ACCURACY, [0.9], [0.8], "1 replicate: no verdict"),
    ("as_good", ACCURACY, [0.9, 0.91, 0.92], [0.9, 0.911, 0.92], HOLDS),
    ("as_good", ACCURACY, [0.8, 0.81, 0.82], [0.9, 0.911, 0.92], REVERSED),
    ("as_good", ACCURACY, [0.8, 0.9, 0.7], [0.8, 0.81, 0.82], OPEN),
    ("more", None, [10.0, 10.0, 10.0], [2.0, 2.0, 2.0], HOLDS),  # a count has no spread
    ("more", None, [2.0], [10.0], REVERSED),
    ("more", None, [2.0, 2.0], [2.0, 2.0], OPEN),
    ("as_good", ACCURACY, [0.9, 0.9, 0.9], [0.9, 0.9, 0.9], HOLDS),
    ("as_good", ACCURACY, [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], HOLDS),
    ("more", None, [9.0, 8.0, 7.0], [2.0, 1.0, 0.0], "all differences the same"),  # no count, no test
    ("better", ACCURACY, [0.75, 0.5, 0.25], [0.5, 0.25, 0.0], "all differences the same"),
    ("as_good", ACCURACY, [0.75, 0.5, 0.25], [0.75, 0.5, 0.25], HOLDS),
    ("as_good", LOSS, [math.inf] * 3, [10.0, 11.0, 12.0], REVERSED),  # nets that diverged
    ("more", None, [2.5], [1.0], "1 replicate: no verdict"),  # a time is no count
    ("more", LOSS, [20.0, 21.0, 22.1], [10.0, 11.0, 12.0], HOLDS),  # more is more, whatever is better
])  # fmt: skip
def test_a_claim_is_judged_by_the_end_that_is_better(measured, kind, metric, a, b, said):
    second = reproductions.SECOND[kind]
    found = measured({"a": {0.5: a}, "b": {0.5: b}}, [{"say": "x", kind: "a", second: "b"}], metric=metric)
    assert verdicts(found) == [said]


def test_the_step_of_the_best_is_no_count(measured):
    rows = {"a": {0.5: [90.0]}, "b": {0.5: [30.0]}}
    found = measured(rows, [{"say": "x", "more": "a", "than": "b"}], metric=None, y="best_step")
    assert verdicts(found) == ["1 replicate: no verdict"]


def test_the_papers_budget_with_other_settings_is_not_the_papers(measured):
    found = measured({"a": {0.5: [0.9, 0.9, 0.91]}}, [], "paper")
    other = Measured(found.made, "paper", None, settings=["train.length=1ep"])
    same = Measured(found.made, "paper", None, settings=["host.workers=2"])
    assert [m.papers for m in (found, same, other)] == [True, True, False]
    assert {row["met"] for row in other.rows()} == {""}


def test_the_nearest_place_is_the_place():
    assert reproduced.nearest([0.5, 0.505, 0.51], 0.506) == 0.505
    assert reproduced.nearest(["a", "b"], "b") == "b" and reproduced.nearest([0.5], 0.9) == 0.9


def test_a_claim_about_a_number_goes_by_the_interval(measured):
    rows = {"a": {0.5: [0.01, 0.011, 0.012], 0.2: [0.03, 0.031, 0.032], 0.1: [0.0, 0.02, 0.04]}}
    found = measured(rows, [{"say": "x", "below": "a", "of": 0.02}], metric=None)
    assert verdicts(found) == [HOLDS, REVERSED, OPEN]


def test_tests_are_corrected_over_all_claims(measured):
    a, b = [0.90, 0.91, 0.93], [0.87, 0.88, 0.88]
    one = {"say": "x", "better": "a", "than": "b"}
    alone, many = (measured({"a": {0.5: a}, "b": {0.5: b}}, [one] * n) for n in (1, 20))
    assert verdicts(alone) == [HOLDS]
    assert verdicts(many) == [OPEN] * 20


def test_shares_of_trials_go_by_their_intervals(measured):
    solved = Metric("solved", unit="share", trials=100)
    claims = [{"say": "x", "better": "a", "than": "b"}]
    assert verdicts(measured({"a": {10: [0.8]}, "b": {10: [0.2]}}, claims, metric=solved)) == [HOLDS]
    assert verdicts(measured({"a": {10: [0.5]}, "b": {10: [0.45]}}, claims, metric=solved)) == [OPEN]
    assert verdicts(measured({"a": {10: [0.2]}, "b": {10: [0.8]}}, claims, metric=solved)) == [REVERSED]


def test_the_dense_net_and_what_one_row_lacks_are_in_no_claim(measured):
    rows = {"a": {1: [0.9, 0.9, 0.91], 0.5: [0.9, 0.91, 0.92]}, "b": {1: [0.8, 0.81, 0.8], 0.2: [0.1, 0.1, 0.12]}}
    assert verdicts(measured(rows, [{"say": "x", "better": "a", "than": "b"}])) == [NOT_HERE]
    at = measured(rows, [{"say": "x", "better": "a", "than": "b", "at": [0.3, 1]}]).judged()
    assert [row["at"] for row in at] == [1]  # asked for by name, it is


def test_only_the_papers_budget_meets_a_published_number(measured):
    ours = {"a": {0.501: [0.89, 0.9, 0.91], 0.2: [0.60, 0.61, 0.62]}}
    for budget in ("paper", "smoke"):
        rows = measured(ours, [], budget).rows()
        assert [row["published"] for row in rows] == [0.9, 0.8]  # 0.501 is 0.5 within 2 %
        assert [row["met"] for row in rows] == (["yes", "no"] if budget == "paper" else ["", ""])
    assert rows[0]["spread"] == 0.01 and math.isnan(rows[1]["spread"]) and math.isnan(rows[1]["difference"])
    alone = measured({"a": {}}, [], "smoke").rows(), measured({"a": {}}, [], "paper").rows()
    assert [len(rows) for rows in alone] == [0, 2]  # what is published is shown where it may be met


@pytest.mark.parametrize(("change", "said"), [
    ({"budgets": {"huge": {"runs": []}}}, "budgets are paper, short, smoke, not huge"),
    ({"claims": [{"say": "x", "better": "a", "than": "c"}]}, "a claim is about 'c', and no row is called so"),
    ({"claims": [{"say": "x", "worse": "a"}]}, "a claim has no 'worse' (there are: say, at, better"),
    ({"claims": [{"say": "x"}]}, "a claim is one of better, as_good, more, below"),
    ({"claims": [{"say": "x", "better": "a"}]}, "claim 'x': better lacks its 'than'"),
    ({"claims": [{"say": "x", "better": "a", "than": "b", "at": 0.5}]}, "a claim: at has to be a list"),
    ({"claims": [{"say": "x", "below": "a", "of": "much"}]}, "of: much is no number"),
    ({"budgets": {"smoke": {"runs": "prune=imp"}}}, "budget smoke: runs has to be a list"),
    ({"budgets": {"smoke": {"runs": []}}}, "a budget runs nothing"),
    ({"budgets": {}}, "it needs a budget and a row"),
    ({"budgets": {"smoke": {"differs": "x"}}}, "lacks 'runs'"),
    ({"rows": {"a": {"runs": "prune=imp"}}}, "row 'a': runs has to be a list"),
    ({"rows": {"a": {"publised": {}}}}, "row 'a' has no 'publised'; did you mean 'published'?"),
    ({"rows": {"a": None}}, "row 'a' has to be keys with values, not None"),
    ({"rows": {"a": {"published": {0.5: [1, 2, 3]}}}}, "is neither a number nor [number, spread]"),
    ({"tolerence": 0.1}, "it has no 'tolerence'; did you mean 'tolerance'?"),
    ({"tolerance": -1}, "tolerance: -1 is no number from 0 on"),
    ({"rows": {"a": {"published": {0.5: "many"}}}}, "many"),
    ({"paper": None}, "paper has to be text"),
])  # fmt: skip
def test_a_file_that_is_none_is_named_with_what_is_wrong(tmp_path, change, said):
    path = tmp_path / "mine.yaml"
    path.write_text(__import__("yaml").safe_dump(SAID | change))
    with pytest.raises(UsageError, match="mine.yaml is no reproduction: ") as error:
        reproductions.named([str(path)])
    assert said in str(error.value) and "\n" not in str(error.value)
    path.write_text("paper: P\n")
    with pytest.raises(UsageError, match="lacks 'shows'"):
        reproductions.named([str(path)])


def test_numbers_that_yaml_takes_for_words_are_numbers():
    said = SAID | {"tolerance": "1e-3", "rows": {"a": {"published": {"1e-3": "53.4e6"}}, "b": {}}}
    made = reproductions.understood("p:f", said)
    assert made.tolerance == 0.001 and [*made.series["a"].published] == [0.001]
    assert made.series["a"].published[0.001][0] == 53.4e6


def test_settings_that_change_numbers_have_a_folder_of_their_own():
    made = reproductions.understood("p:f", SAID)
    assert made.folder("smoke", ["host.workers=2", "data=/d", "replicate=0,1", "levels=2"]) == "reproduce_p_f_smoke"
    assert made.folder("smoke", ["train.length=1ep"]) == "reproduce_p_f_smoke_train.length_1ep"
    both = [["a.b=-1", "c=2"], ["c=2", "a.b=-1"], ["a.b=1", "c=2"]]
    names = [made.folder("smoke", each) for each in both]
    assert names[0] == names[1] != names[2]
    assert len(made.folder("smoke", ["schedule.densities=[" + "0.5," * 40 + "]"])) < 40


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(__import__("yaml").safe_dump(SAID))
    with pytest.raises(UsageError, match="would be one, 'mine'; rename a file"):
        reproductions.named([f"{tmp_path}/one/mine.yaml", f"{tmp_path}/two/mine.yaml"])


@pytest.mark.parametrize("name", ALL)
def test_every_one_says_what_it_shows_and_where_its_numbers_are_from(name):
    (made,) = reproductions.named([name])
    assert made.paper and made.shows and made.source and made.claims and "smoke" in made.budgets
    assert {*made.budgets} <= {*reproductions.BUDGETS} and all(b.runs for b in made.budgets.values())
    assert all(budget.differs for word, budget in made.budgets.items() if word != "paper")


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_budget_can_be_composed(lottery, capsys, name):
    (made,) = reproductions.named([name])
    for budget in made.budgets.values():
        for words in budget.runs:
            assert lottery("plan", "format=commands", "-m", *words, f"name={made.folder('x')}") == 0, (shlex.join(words), capsys.readouterr())


def test_the_table_of_a_budget_hides_what_it_has_no_column_for(measured):
    rows = measured({"a": {0.5: [0.9, 0.9]}}, [], "smoke")
    heads, cells, _ = reproduced.numbers_table(rows, rows.rows())
    assert heads == ["density", "", "published", "here"] and len(cells[0]) == 4
    rows = measured({"a": {0.5: [0.9, 0.9]}}, [], "paper")
    assert reproduced.numbers_table(rows, rows.rows())[0][-2:] == ["difference", "met"]

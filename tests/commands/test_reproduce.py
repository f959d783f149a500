"""`lottery reproduce`: what there is, what it would run, and the smallest form of all of it."""

import json

import pytest

from lottery.results import reproductions


def test_it_lists_and_says_what_it_would_run_without_running_it(lottery, tmp_path, capsys):
    assert lottery("reproduce") == 0
    said = capsys.readouterr().out
    assert all(name in said for name in reproductions.files())
    assert lottery("reproduce", "lth:figure_4") == 0
    said = capsys.readouterr().out
    assert "claim: tickets beat" in said and "lottery run -m experiment=lth_lenet_mnist" in said
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("words", "said"), [
    (["lth:figure_9"], "there is no reproduction 'lth:figure_9'; did you mean 'lth:figure_"),
    (["budget=smoke"], "say what: lottery reproduce all budget=smoke"),
    (["slides:steps", "budget=paper"], "has no budget=paper; type budget=short or budget=smoke"),
    (["slides:steps", "budget=tiny"], "smoke"),
    (["slides:steps", "name=mine"], "name=mine: its runs have a name; outputs= is another place"),
    (["none.yaml"], "none.yaml cannot be read: No such file"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(lottery, capsys, words, said):
    assert lottery("reproduce", *words) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_what_is_not_trained_yet_is_said(lottery, capsys):
    assert lottery("reproduce", "slides:steps", "budget=smoke", "train=false", "format=json") == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["rows"] and {claim["verdict"] for claim in found["claims"]} == {"not in this budget"}
    assert any("is not there" in note for note in found["notes"])


def test_what_has_no_such_budget_is_left_out_and_the_others_are_shown(lottery, capsys):
    assert lottery("reproduce", "slides:steps,lth:figure_3", "budget=paper", "train=false", "format=json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["reproduction"] == "lth:figure_3"
    assert "slides:steps has no budget=paper, and is left out" in said.err
    assert lottery("reproduce", "lth", "budget=paper", "train=false", "format=json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 4


def test_it_says_what_it_would_run_with_other_settings(lottery, capsys):
    assert lottery("reproduce", "slides:steps", "train.length=2ep", "outputs=there") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "name=reproduce_slides_steps_smoke_train.length_2ep outputs=there train.length=2ep" in said


HALVES = """\
{paper: P, shows: S, source: none, tolerance: 0.01, budgets: {smoke: {runs: ["dataset=digits model=lenet_300_100
prune=imp train.length=2it schedule=listed schedule.densities=[0.5] replicate=0,1 evaluate_every=end host.threads=1"],
differs: short}}, rows: {tickets: {}}, claims: []}
"""


@pytest.mark.slow
def test_other_settings_are_not_mixed_with_those_of_the_budget(lottery, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(HALVES)
    means = []
    for more in ([], ["train.length=15it"], []):
        assert lottery("reproduce", "mine.yaml", "budget=smoke", "format=json", *more) == 0
        found = json.loads(capsys.readouterr().out)  # nothing else on stdout
        means.append([row["mean"] for row in found["rows"]])
        assert ("train.length" in "".join(found["notes"])) == bool(more)
    assert means[0] == means[2] != means[1] and len(means[0]) == 2
    (tmp_path / "mine.yaml").write_text(HALVES.replace("2it", "3it"))  # two configs in one folder
    assert lottery("reproduce", "mine.yaml", "budget=smoke", "format=json") == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["rows"] and "two numbers of replicate 0 fit it at 1 (of" in "".join(found["notes"])


@pytest.mark.slow
@pytest.mark.parametrize("name", reproductions.files())
def test_the_smallest_form_of_every_one_gives_every_row_that_it_trains(lottery, capsys, name):
    assert lottery("reproduce", name, "budget=smoke", "host.progress=none", "format=csv") == 0
    capsys.readouterr()
    assert lottery("reproduce", name, "budget=smoke", "train=false", "format=json") == 0
    found = json.loads(capsys.readouterr().out)
    (made,) = reproductions.named([name])
    rows = {row["row"] for row in found["rows"] if row["replicates"]}
    lacking = [note for note in found["notes"] if "is not there" in note]
    assert len(rows) + len(lacking) == len(made.series) and len(lacking) <= 2
    assert all(claim["verdict"] != "not in this budget" for claim in found["claims"]) or lacking

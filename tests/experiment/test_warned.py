"""What a run was warned of stays: in run.json, and wherever people look."""

import json
import warnings

import pytest

import lottery as face
from lottery import cli
from lottery.experiment import tables
from lottery.results.facts import Facts
from lottery.storage import records
from lottery.storage.warned import (
    LONGEST,
    MOST,
    Warned,
    as_data,
    kinds,
    merged,
    of_record,
    warned,
)

COLLAPSE = {"text": "level 2: layer collapse at 4x compression: fc1 without a weight left",
            "kind": "collapse", "level": 2}  # fmt: skip
LOST = ["prune=magnitude_init", "model.init=xavier_normal", "schedule=listed",
        "schedule.densities=[0.1,0.02]", "levels=2"]  # fmt: skip


def lines(folder):
    return [one.line for one in Facts(folder).warnings]


def test_a_warning_is_one_harmless_line_of_bounded_length():
    text = "a\nb\x1b[31m  mlflow at https://me:secret@host/x \u202efailed " + "x" * 999
    one = warned(text, "strange")
    assert one.text.startswith("a b\\x1b[31m mlflow at https://***@host/x \\u202efailed xxx")
    assert len(one.text) == LONGEST
    assert one.kind == "other"
    assert Warned("lost", "rate", 3, "shuffle").line == "level 3 shuffle: lost"
    assert Warned("level 3: lost", level=3).line == "level 3: lost"


def test_each_is_kept_once_and_a_record_from_elsewhere_is_read_with_care():
    some = [warned(f"{n}", level=n % 3) for n in (1, 2, 1)]
    assert merged(some[:2], some) == some[:2]
    very_many = merged((), [warned(str(n)) for n in range(2 * MOST)])
    assert [w.text for w in very_many[MOST - 1 :]] == ["199", "at least 200 later warnings are not kept"]
    assert merged(very_many, [warned("0"), warned("one more")]) == very_many
    assert merged(some, [warned(str(n)) for n in range(MOST - 1)])[-1].text == (
        "at least 1 later warning is not kept"
    )
    assert of_record({"warnings": as_data(some[:2])}) == some[:2]
    assert of_record({}) == []
    odd = [1, None, {}, {"text": 3}, {"text": "x", "level": True, "kind": [], "branch": 4},
           {"text": "y", "level": -1}, COLLAPSE]  # fmt: skip
    found = of_record({"warnings": odd})
    assert [(one.text, one.level, one.branch) for one in found[:2]] == [("x", None, ""), ("y", None, "")]
    assert kinds(found) == ["collapse", "other"]


def test_a_run_that_loses_a_layer_says_so_to_everybody_who_looks(run, lottery, capsys, tmp_path):
    folder = run(*LOST)
    said = [line for line in capsys.readouterr().err.splitlines() if "collapse" in line]
    assert said
    assert [f"warning: {line}" for line in lines(folder)] == said
    assert Facts(folder).warnings[0].kind == "collapse"
    run("prune=random", "levels=0")
    capsys.readouterr()
    for words in (
        ["ls"], ["ls", "format=csv"], ["ls", "warnings=collapse"], ["show", "magnitude"],
        ["show", "magnitude", "format=json"], ["compare"], ["compare", "format=json"],
    ):  # fmt: skip
        assert lottery(*words) == 0, words
        assert "collapse" in capsys.readouterr().out, words
    assert lottery("compare", "format=csv") == 0
    assert "collapse" in capsys.readouterr().err
    assert lottery("compare", "every=true", "format=json") == 0
    found = json.loads(capsys.readouterr().out)["rows"]
    assert {r["level"] for r in found if r["warnings"]} == {w.level for w in Facts(folder).warnings}
    assert lottery("compare", "every=true") == 0
    table, said = capsys.readouterr().out.split("\nwarned: *")
    means = [line.split()[2] for line in table.splitlines() if "(n=1)" in line]
    assert sum(mean.endswith("*") for mean in means) == sum(bool(r["warnings"]) for r in found) > 0
    assert lottery("compare", "format=latex") == 0
    [foot] = [x for x in capsys.readouterr().out.splitlines() if "level 2" in x and "footnotesize" in x]
    assert foot.startswith(r"\par{\footnotesize warned: A, replicate 0: level 2: layer collapse")
    loaded = face.load(tmp_path / "outputs")
    assert sorted(loaded.runs["warnings"]) == ["", "collapse"]
    [one] = loaded.warnings.query("level == 2").to_dict("records")
    assert (one["method"], one["kind"], one["branch"]) == ("magnitude_init", "collapse", "")


@pytest.mark.slow
def test_both_reports_say_what_a_run_was_warned_of(fabricate, lottery, tmp_path):
    fabricate(record={"warnings": [COLLAPSE]})
    fabricate(ident="bbbbbbbbbb", config={"train.batch_size": 7})
    for words in (["aaaa"], []):
        assert lottery("report", *words, "to=x.html") == 0
        text = (tmp_path / "x.html").read_text()
        assert "level 2: layer collapse" in text
        assert ("*</span>" in text) == ("* a replicate was warned" in text) == (not words)


def test_warnings_stay_over_resumes_branches_and_kills(run, lottery, monkeypatch, capsys):
    real, seen = tables.warn_of_collapse, []

    def warn_and_look(run, level):
        real(run, level)
        seen.append([one.level for one in Facts(run.folder).warnings])

    with monkeypatch.context() as patch:
        patch.setattr("lottery.experiment.loop.warn_of_collapse", warn_and_look)
        folder = run(*LOST)
    assert seen[-1] == [2] or seen[-1] == [1, 2]
    assert seen[0] == seen[-1][: len(seen[0])]
    before = lines(folder)
    assert before
    body = records.read_run(folder)
    body["warnings"].append({"text": "from a run before"})
    (folder / "run.json").write_text(json.dumps(records.signed(body)))
    assert lottery("branch", "magnitude", "branch=reinit", "levels=1") == 0
    assert lines(folder) == [*before, "from a run before"]


def test_rollbacks_and_what_python_warns_of_are_kept(run, lottery, tiny, tmp_path, monkeypatch):
    folder = run("train.optimizer.lr=1e30", "train.on_nan=rollback", "levels=0", code=6)
    [first, *_] = Facts(folder).warnings
    assert (first.kind, first.level) == ("diverged", 0)
    assert "going back to step" in first.line
    from lottery.experiment import launch

    real = launch.validate

    def validate(run):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a package\nwarns", stacklevel=1)
        real(run)

    monkeypatch.setattr(launch, "validate", validate)
    assert lottery("run", *tiny, "name=warned", "levels=0") == 0
    [folder] = tmp_path.glob("outputs/warned/*/*")
    assert lines(folder) == ["a package warns"]


def test_runs_from_before_have_none_and_pages_do_not_change(fabricate, lottery, capsys):
    fabricate()
    assert lottery("ls") == 0
    assert "warn" not in capsys.readouterr().out
    assert lottery("compare") == 0
    assert "warn" not in capsys.readouterr().out
    fabricate(ident="bbbbbbbbbb", record={"warnings": [COLLAPSE] * 3})
    assert lottery("ls", "bbbb") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split()[-1] == "warnings"
    assert out.splitlines()[1].split()[-1] == "collapse"
    assert out.splitlines()[2].startswith("warnings: ")


@pytest.mark.parametrize("said", [5, {"text": "x"}])
def test_a_record_whose_warnings_are_none_is_damaged(fabricate, lottery, capsys, said):
    fabricate(record={"warnings": said})
    assert cli.main(["ls"]) == 0
    assert "damaged" in capsys.readouterr().out

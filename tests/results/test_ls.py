"""`lottery ls`: a line a run, filters, sorting, columns, formats, widths, odd runs."""

import csv
import datetime
import io
import json
import shutil
import subprocess
import sys

import pytest

from lottery.progress import pulse
from lottery.results import facts, formats
from lottery.results.facts import COLUMNS


@pytest.fixture
def listed(lottery, capsys):
    """Return the lines that `lottery ls` prints."""

    def call(*words, code=0):
        capsys.readouterr()
        assert lottery("ls", *words) == code
        out, err = capsys.readouterr()
        return (err if code else out).splitlines()

    return call


def test_ls_of_real_runs(run, listed):
    folder = run("name=first")
    run("name=second", "levels=1", "branch=[reinit]")
    lines = listed()
    assert len(lines) == 3
    assert lines[0].split()[:3] == ["name", "id", "rep"]
    assert lines[1].split()[:7] == [
        "first", folder.parent.name, "0", "lenet_300_100", "synthetic", "imp", "init"
    ]  # fmt: skip
    assert lines[1].split()[7] == "2/2"
    assert [line.split()[0] for line in listed("second")] == ["name", "second"]
    (row,) = json.loads("\n".join(listed("first", "format=json")))
    with open(folder / "metrics.csv") as file:
        last = list(csv.DictReader(file))[-1]
    assert row["test_accuracy"] == float(last["test_accuracy"])
    assert row["density"] == float(last["density"])
    assert (row["levels"], row["levels_asked"], row["state"]) == (2, 2, "done")


def test_odd_folders_do_not_stop_ls(run, listed):
    folder = run()
    (folder.parent / "replicate_0.old").mkdir()
    (folder.parent / "replicate_0.old" / "run.json").write_text("{}")
    for number, text in ((7, "[1]"), (8, "no json"), (9, '{"state": "running"}')):
        other = folder.parent / f"replicate_{number}"
        other.mkdir()
        (other / "run.json").write_text(text)
        (other / "metrics.csv").write_text("")
    lines = listed()
    assert len(lines) == 5
    assert ["damaged" in line for line in lines[2:]] == [True] * 3


def test_without_runs_it_says_how_to_start_one(listed):
    assert listed() == ["there are no runs under outputs; start one: lottery run"]
    assert listed("format=json") == ["[]"]
    assert listed("format=csv") == [",".join(COLUMNS)]


def test_filters_and_sorting(fabricate, listed):
    fabricate(ident="a0", test=(0.9, 0.95))
    fabricate(ident="b0", test=(0.9, 0.97, 0.93), choices={"prune": "random"})
    fabricate(ident="c0", test=(0.9, 0.99, 0.93), config={"train.batch_size": 64})
    fabricate(
        ident="d0", test=(), record={"state": "failed", "started": "2026-11-05T10:00:00+00:00"}
    )
    fabricate(ident="e0", test=(0.8,), replicate=10)
    fabricate(ident="e0", test=(0.8,), replicate=9)

    def ids(*words):
        rows = csv.DictReader(io.StringIO("\n".join(listed(*words, "format=csv"))))
        return " ".join(f"{row['id'][0]}{row['replicate']}" for row in rows)

    assert ids() == "c0 a0 b0 d0 e9 e10"  # by the settings that differ
    assert ids("sort=test") == "e9 e10 c0 b0 a0 d0"
    assert ids("sort=-test") == "a0 c0 b0 e9 e10 d0"  # those without a number are last both ways
    assert ids("sort=-test,id") == "a0 b0 c0 e9 e10 d0"
    assert ids("sort=density,-test") == "c0 b0 a0 e9 e10 d0"
    assert ids("sort=age") == "d0 c0 a0 b0 e9 e10"  # the youngest first
    assert ids("sort=train.batch_size", "test=0.93") == "c0 b0"
    assert ids("prune=imp", "state=done", "replicate=0") == "c0 a0"
    assert ids("train.batch_size=64") == "c0"
    assert listed("sort=tset", code=2) == [
        "lottery: ls: sort=tset: no run has that; did you mean 'test'? (lottery ls --help)"
    ]
    assert "no run with prune=snip; prune is imp, random" in listed("prune=snip", code=2)[0]


def test_columns_that_are_asked_for(fabricate, listed):
    fabricate(test=(0.9, 0.875))
    heads, line = listed("columns=id,test,levels,train.length,model.hidden,age")
    assert heads.split() == ["id", "test", "%", "levels", "train.length", "model.hidden", "age"]
    assert line.split()[:6] == ["aaaaaaaaaa", "87.50", "1/3", "12ep", "[300,", "100]"]
    assert listed("columns=id,train.length", "format=csv") == ["id,train.length", "aaaaaaaaaa,12ep"]
    assert "did you mean 'levels'?" in listed("columns=levls", code=2)[0]
    (said,) = listed("columns=bogus", code=2)
    assert "columns=bogus: no run has that; columns are name, id, replicate, model, " in said
    assert "did you mean 'train.optimizer.lr'?" in listed("columns=train.lr", code=2)[0]
    assert "did you mean 'val_accuracy' or 'test_accuracy'?" in listed("sort=acc", code=2)[0]
    assert "no run has 'formta'; did you mean 'format'?" not in listed("formta=csv", code=2)[0]
    assert "no option 'formta=csv' here; did you mean 'format'?" in listed("formta=csv", code=2)[0]


def test_settings_that_tell_runs_apart_are_columns(fabricate, listed):
    for ident, lr in (("1", 0.05), ("2", 1e-5), ("3", 0.1)):
        config = {"train.optimizer.lr": lr}
        fabricate(ident=ident * 10, config=config)
        fabricate("mine", ident=ident * 9, config=config | {"rewind.name": ident})
    fabricate("alone", "4" * 10, config={"train.batch_size": 7})
    lines = [line.split() for line in listed("lenet")]
    place = lines[0].index("train.optimizer.lr")
    assert [line[place] for line in lines[1:]] == ["1e-05", "0.05", "0.1"]
    assert "train.batch_size" not in listed()[0]
    (row,) = [r for r in csv.DictReader(io.StringIO("\n".join(listed("format=csv")))) if r["id"] == "3" * 10]
    assert (row["train.optimizer.lr"], "train.batch_size" in row) == ("0.1", False)
    fabricate("mine", "5" * 10, config={f"train.more{n}": n for n in range(4)})
    assert listed("mine")[-1] == "3 more settings differ: lottery compare shows them"


def test_wide_signs_take_two_places(fabricate, listed, monkeypatch):
    fabricate("日本語", "a" * 10)
    fabricate("e\u0301te", "b" * 10)
    cells = [line.split() for line in listed()]
    assert [formats.places(line[: line.index("0")]) for line in listed()[1:]] == [
        len("name    bbbbbbbbbb    ")
    ] * 2
    assert cells[1][0] == "e\u0301te"
    assert formats.shortened("日本語日本語", 8) == "日本…語"
    assert formats.shortened("日本語", 6) == "日本語"


def test_latex_is_a_tabular(fabricate, listed):
    fabricate("a_b", "c" * 10)
    lines = listed("format=latex", "columns=name,test")
    assert lines == [
        r"\begin{tabular}{lr}", r"\toprule", r"name & test \% \\", r"\midrule", r"a\_b & 95.00 \\",
        r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip


def test_formats_have_everything_in_full_precision(fabricate, listed):
    fabricate(test=(0.9, 0.123456789012345), ident="0123456789")
    (row,) = csv.DictReader(io.StringIO("\n".join(listed("format=csv"))))
    assert tuple(row) == COLUMNS
    assert row["id"] == "0123456789"
    assert float(row["test_accuracy"]) == 0.123456789012345
    assert row["started"] == "2026-11-01T10:00:00+00:00"
    (row,) = json.loads("\n".join(listed("format=json")))
    assert tuple(row) == COLUMNS
    assert (row["replicate"], row["levels"], row["left"]) == (0, 1, None)
    head, rule, line = listed("format=markdown")
    assert head.startswith("| id | rep | model |")
    assert rule.startswith("| --- | ---: | --- |")
    assert "| 12.35 |" in line
    assert "format=xml is none of table, csv, json, markdown, latex" in listed("format=xml", code=2)[0]


def test_a_name_is_shown_where_it_says_more_than_the_options(fabricate, listed):
    fabricate()
    assert listed()[0].split()[0] == "id"
    fabricate("my|\x1b[31m_run\n", "bbbbbbbbbb")
    lines = listed()
    assert lines[0].split()[0] == "name"
    assert len(lines) == 3
    assert "my|\\x1b[31m_run\\n" in lines[2]
    assert "my\\|" in listed("format=markdown")[-1]
    assert formats.markdown(["a"], [["`x` <b>1 <2"]]).endswith(r"| \`x\` \<b>1 <2 |")
    assert not any(
        "\x1b" in line for f in ("csv", "markdown", "json") for line in listed(f"format={f}")
    )


def test_lines_fit_the_terminal(fabricate, listed, monkeypatch):
    for number in range(3):
        fabricate(f"a_rather_long_name_that_somebody_gave_to_experiment_{number}", f"{number}aaaaaaaaa")
    for width, cut in ((140, False), (110, False), (80, True)):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = listed()
        assert max(map(len, lines)) <= width
        assert ("…" in lines[-1]) is cut
    assert lines[0] == "all: dataset digits, model lenet_300_100, rewind init, method imp"
    monkeypatch.delenv("COLUMNS")
    assert "experiment_0  0aaaaaaaaa    0  lenet_300_100" in listed()[1]  # whole, for other programs


def test_a_name_that_all_have_is_said_once_where_a_line_has_no_room(fabricate, listed, monkeypatch):
    for number in range(2):
        fabricate("a_name_that_all_have", f"{number}aaaaaaaaa", test=(0.97, 0.9 + number / 100))
    monkeypatch.setenv("COLUMNS", "60")
    lines = listed()
    assert max(map(len, lines)) <= 60
    assert " ".join(line.strip() for line in lines).startswith(
        "all: dataset digits, model lenet_300_100, rewind init, method imp, name a_name_that_all_have id "
    )
    assert "90.00" in lines[-2] and "91.00" in lines[-1]  # what is looked for has room


def test_accuracy_of_validation_stands_in_where_there_is_no_test_set(fabricate, listed):
    fabricate(test=(0.9, 0.8), test_accuracy=(None, None))
    heads, line = listed()
    assert "val %" in heads
    assert "80.00" in line
    fabricate(ident="bbbbbbbbbb", test=(0.9, float("nan")))
    assert len(listed()) == 3


def test_a_running_one_shows_the_time_left(fabricate, listed, monkeypatch):
    fabricate(record={"state": "running"})
    assert "killed" in listed()[1]
    assert "left" not in listed()[0]
    monkeypatch.setattr("lottery.storage.records.locked", lambda path: True)
    monkeypatch.setattr(pulse, "read", lambda folder: {"left": 7300.0})
    heads, line = listed()
    assert heads.split()[-2:] == ["age", "left"]
    assert line.split()[-2:] == ["2", "h"]
    assert listed("state=running", "columns=state,left")[1].split() == ["running", "2", "h"]
    monkeypatch.setattr(pulse, "read", lambda folder: None)
    assert "running" in listed()[1]


@pytest.mark.parametrize(
    ("ago", "said"), [(5, "5 s"), (200, "3 min"), (7300, "2 h"), (200_000, "2 d"), (-5, "0 s")]
)
def test_ages(ago, said):
    then = datetime.datetime(2026, 11, 1, 10, tzinfo=datetime.UTC)
    now = then + datetime.timedelta(seconds=ago)
    assert formats.about(facts.age(then.isoformat(), now)) == said


def test_the_age_is_that_of_the_start(fabricate, listed):
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2, hours=6)
    fabricate(record={"started": then.isoformat()})
    assert listed("columns=age", "age=2 d", "age=2d", "age>1d", "age<1000 h")[1].strip() == "2 d"
    assert "no run with age<1d" in listed("age<1d", code=2)[0]
    assert "no run with age>10000min; age is 2d" in listed("age>10000min", code=2)[0]


def test_times_that_are_none_are_empty():
    assert facts.age("soon") is None
    assert facts.age("2026-11-01T10:00:00") is None  # of no zone
    assert facts.age(None) is None


HEAVY = """
import sys
from lottery.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "torchvision", "hydra", "omegaconf", "pandas", "scipy", "matplotlib"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""


def test_two_hundred_runs_and_nothing_heavy_imported(fabricate, tmp_path):
    for number in range(200):
        fabricate(ident=f"{number // 4:010x}", replicate=number % 4, test=(0.97, 0.96))
    done = subprocess.run(
        [sys.executable, "-c", HEAVY, "ls", "sort=-test", "rewind=init"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 201


def test_a_run_on_another_machine_is_running(fabricate, listed, monkeypatch):
    """Its lock is not seen from here, its sign of life is."""
    fabricate(record={"state": "running", "ended": None})
    monkeypatch.setattr(pulse, "read", lambda folder: {"left": 200.0})
    (row,) = csv.DictReader(io.StringIO("\n".join(listed("format=csv", "state=running"))))
    assert (row["state"], float(row["left"])) == ("running", 200)


def test_damage_is_a_state(fabricate, listed):
    whole = fabricate()
    first, second, third = (fabricate(ident=f"{x}bbbbbbbbb") for x in "123")
    (first / "metrics.csv").write_bytes((whole / "metrics.csv").read_bytes() + b"9")
    (second / "manifest.json").write_text("{}")
    (third / "config.yaml").write_text("{")
    rows = list(csv.DictReader(io.StringIO("\n".join(listed("format=csv")))))
    assert [row["state"] for row in rows] == ["damaged", "done", "damaged", "damaged"]
    assert [row["id"][0] for row in rows] == ["1", "a", "2", "3"]  # without settings the last


def test_a_folder_of_runs_is_listed(fabricate, lottery, capsys, tmp_path, monkeypatch):
    """Whatever of outputs/NAME/ID/replicate_K is named, from wherever."""
    folder = fabricate()
    fabricate(name="other", ident="bbbbbbbbbb")
    capsys.readouterr()
    for place, rows in ((folder, 1), (folder.parent, 1), (folder.parent.parent, 1), (tmp_path / "outputs", 2), (tmp_path, 2)):
        for word in (place, f"{place}/"):
            assert lottery("ls", word) == 0
            assert len(capsys.readouterr().out.splitlines()) == rows + 1, place
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert lottery("ls", "../outputs") == 0 and lottery("ls", ".") == 2


def test_no_two_rows_look_the_same(fabricate, lottery, capsys, tmp_path):
    fabricate(ident="aaaaaaaaaa"), fabricate(ident="bbbbbbbbbb"), fabricate(ident="bbbbbbbbbb", replicate=1)
    shutil.copytree(tmp_path / "outputs", tmp_path / "again")
    for words in (["columns=model"], ["columns=model,state"], ["outputs", "again"], ["columns=id", "outputs", "again"], ["format=markdown", "columns=test"]):
        assert lottery("ls", *words) == 0
        rows = capsys.readouterr().out.splitlines()
        assert len(rows) == len(set(rows)) and len(rows) > 3, words


def test_replicates_are_one_line_with_their_mean(fabricate, lottery, capsys):
    import csv
    import io

    for k, (test, state) in enumerate([((0.9, 0.8), "done"), ((0.9, 0.9), "done"), ((0.9,), "stopped")]):
        fabricate(ident="aaaaaaaaaa", replicate=k, test=test, record={"state": state})
    fabricate("lenet_300_100_digits_random", "bbbbbbbbbb", test=(0.9, 0.95), choices={"prune": "random"})
    capsys.readouterr()
    assert lottery("ls", "group=replicate", "sort=-test", "format=csv") == 0
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["method"], second["method"]) == ("random", "imp") and second["replicates"] == "3"
    assert float(second["test"]) == pytest.approx((0.8 + 0.9 + 0.9) / 3) and second["state"] == "2 done, 1 stopped"
    assert (second["levels"], second["levels_most"]) == ("0", "1")
    assert lottery("ls", "group=replicate", "sort=-test_accuracy", "format=csv") == 0  # by means, too
    assert [row["method"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == ["random", "imp"]
    assert lottery("ls", "group=replicate") == 0
    text = capsys.readouterr().out
    assert "86.67 ± " in text and "0 to 1" in text
    for words, says in ((["group=config"], "replicate"), (["group=replicate", "columns=name"], "leave columns= out")):
        assert lottery("ls", *words) == 2
        assert says in capsys.readouterr().err

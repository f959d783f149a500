"""`lottery ls`: a line a run, filters, sorting, columns, formats, widths, odd runs."""

import csv
import datetime
import io
import json
import subprocess
import sys

import pytest

from lottery.commands import ls
from lottery.looking.facts import COLUMNS
from lottery.watching import pulse


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

    assert ids() == "a0 b0 c0 d0 e9 e10"
    assert ids("sort=test") == "e9 e10 b0 c0 a0 d0"
    assert ids("sort=-test") == "a0 b0 c0 e9 e10 d0"  # those without a number are last both ways
    assert ids("sort=-test,-id") == "a0 c0 b0 e9 e10 d0"
    assert ids("sort=density,-test") == "b0 c0 a0 e9 e10 d0"
    assert ids("sort=age") == "d0 a0 b0 c0 e9 e10"  # the youngest first
    assert ids("sort=train.batch_size", "test=0.93") == "c0 b0"
    assert ids("prune=imp", "state=done", "replicate=0") == "a0 c0"
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
    assert "format=xml is none of table, csv, json, markdown" in listed("format=xml", code=2)[0]


def test_a_name_is_shown_where_it_says_more_than_the_options(fabricate, listed):
    fabricate()
    assert listed()[0].split()[0] == "id"
    fabricate("my|\x1b[31m_run\n", "bbbbbbbbbb")
    lines = listed()
    assert lines[0].split()[0] == "name"
    assert len(lines) == 3
    assert "my|\\x1b[31m_run\\n" in lines[2]
    assert "my\\|" in listed("format=markdown")[-1]
    assert not any(
        "\x1b" in line for f in ("csv", "markdown", "json") for line in listed(f"format={f}")
    )


def test_lines_fit_the_terminal(fabricate, listed, monkeypatch):
    for number in range(3):
        fabricate("a_rather_long_name_that_somebody_gave_to_an_experiment", f"{number}aaaaaaaaa")
    for width, cut in ((140, False), (110, False), (80, True)):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = listed()
        assert max(map(len, lines)) <= width
        assert ("…" in lines[-1]) is cut
    assert lines[0] == "all: dataset digits, model lenet_300_100, rewind init, method imp"
    monkeypatch.delenv("COLUMNS")
    assert "experiment  0aaaaaaaaa    0  lenet_300_100" in listed()[1]  # whole, for other programs


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
def test_ages(fabricate, listed, ago, said):
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=ago + 0.4 * (ago > 0))
    fabricate(record={"started": then.isoformat()})
    assert listed("columns=age")[1].strip() == said


def test_times_that_are_none_are_empty():
    assert ls.age("soon") is None
    assert ls.age("2026-11-01T10:00:00") is None  # of no zone
    assert ls.age(None) is None


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
    rows = csv.DictReader(io.StringIO("\n".join(listed("format=csv"))))
    assert [row["state"] for row in rows] == ["damaged", "damaged", "done", "done"]

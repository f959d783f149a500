"""lottery plot, as it is typed: what it writes, what it says, what is wrong in one line."""

import csv
import shutil
import subprocess
import sys

import pytest

from lottery import cli
from lottery.config import bind
from lottery.errors import UsageError
from lottery.results.plotting.drawing import Drawn, figures

TINY = [
    "dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", "dataset.validation=12",
    "dataset.classes=4", "dataset.channels=1", "dataset.size=4", "dataset.mean=[0.5]",
    "dataset.std=[0.25]", "model=lenet_300_100", "model.hidden=[4]", "train.batch_size=12",
    "train.length=1ep", "host.threads=1", "host.progress=none", "levels=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return outputs of two experiments of a replicate each."""
    folder = tmp_path_factory.mktemp("plot") / "outputs"
    for words in (["name=first", "branch=[reinit]"], ["name=second", "prune=random"]):
        assert cli.main(["run", *TINY, f"outputs={folder}", *words]) == 0
    return folder


@pytest.fixture
def outputs(trained, tmp_path):
    """Return a copy of them in the folder that the command line works in."""
    return shutil.copytree(trained, tmp_path / "outputs", symlinks=True)


def test_it_writes_a_figure_and_its_numbers_and_says_where(outputs, lottery, tmp_path, capsys):
    assert lottery("plot", "figure=accuracy") == 0
    assert capsys.readouterr().out.splitlines() == ["plots/accuracy.png", "plots/accuracy.csv"]
    rows = list(csv.DictReader((tmp_path / "plots" / "accuracy.csv").read_text().splitlines()))
    assert [(r["series"], r["level"]) for r in rows] == \
        [("imp", "0"), ("imp", "1"), ("random", "0"), ("random", "1")]  # fmt: skip
    first = (tmp_path / "plots" / "accuracy.png").read_bytes()
    assert lottery("plot", "figure=accuracy", "to=other/a.png") == 0
    assert (tmp_path / "other" / "a.png").read_bytes() == first


def test_several_files_and_every_suffix(outputs, lottery, tmp_path, capsys):
    assert lottery("plot", "figure=accuracy", "to=a.png,b/c.SVG,a.pdf", "width=page") == 0
    assert capsys.readouterr().out.split() == ["a.png", "a.csv", "b/c.SVG", "b/c.csv", "a.pdf"]
    starts = {"a.png": b"\x89PNG", "b/c.SVG": b"<?xml", "a.pdf": b"%PDF-"}
    for name, start in starts.items():
        assert (tmp_path / name).read_bytes().startswith(start)


def test_files_of_others_are_left_alone(outputs, lottery, tmp_path, capsys):
    mine = tmp_path / "results.csv"
    mine.write_text("run,accuracy\n1,0.9\n")
    assert lottery("plot", "figure=accuracy", "to=new.png,results.pdf") == 2
    assert "results.csv, and that is there and not the table of such a" in capsys.readouterr().err
    assert mine.read_text() == "run,accuracy\n1,0.9\n"
    assert not list(tmp_path.glob("new.*"))
    (tmp_path / "photo.png").write_bytes(b"mine")
    assert lottery("plot", "figure=accuracy", "to=new.png,photo.png") == 2
    assert "to=photo.png: that is there and no figure that lottery drew" in capsys.readouterr().err
    assert (tmp_path / "photo.png").read_bytes() == b"mine"
    assert not list(tmp_path.glob("new.*"))
    for name in ("drawing.svg", "paper.pdf"):
        (tmp_path / name).write_bytes(b"mine")
        with pytest.raises(UsageError, match=f"to=.*{name}: that is there and no figure"):
            Drawn(None, None).beside(tmp_path / name)
    (folder,) = outputs.glob("first/*/replicate_0")
    before = (folder / "metrics.csv").read_bytes()
    assert lottery("plot", "figure=accuracy", f"to={folder}/metrics.png") == 2
    assert "is the folder of a run" in capsys.readouterr().err
    assert (folder / "metrics.csv").read_bytes() == before
    assert lottery("plot", "figure=accuracy", "to=a.png") == 0
    (tmp_path / "a.svg").touch()  # nothing in it is lost
    again = "to=a.png,a.svg,a.pdf"
    assert lottery("plot", "figure=accuracy", again) == 0
    assert lottery("plot", "figure=accuracy", again, "y=val_loss") == 0  # our own, again


def test_runs_filters_and_settings(outputs, lottery, tmp_path, capsys):
    def table(*words):
        assert lottery("plot", "figure=accuracy", "to=a.svg", *words) == 0
        return list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))

    assert {r["name"] for r in table("first")} == {"first"}
    assert {r["name"] for r in table("prune=random")} == {"second"}
    assert {r["name"] for r in table("train.batch_size=12")} == {"first", "second"}
    assert "val_loss" in table("y=val_loss")[0]
    assert {r["branch"] for r in table("first", "branch=reinit")} == {"", "reinit"}
    assert {r["branch"] for r in table("first", "branch=[reinit]")} == {"", "reinit"}
    assert table("ylim=[0,50.5]", "every=false", "x=compression")[1]["compression"] == "1.25"


def test_notes_are_said(outputs, lottery, capsys):
    assert lottery("plot", "figure=filters", "first", "most=2") == 0
    assert "note: 2 of 4 are drawn: those that keep most (most=N)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["name a figure, as in figure=accuracy", "weights"]),
        ("figure=acuracy", ["there is no figure 'acuracy'; did you mean 'accuracy'?"]),
        ("figure=os.system", ["there is no figure 'os.system'"]),
        ("figure=accuracy nothing", ["'nothing' names no run"]),
        ("figure=accuracy prune=snip", ["no run with prune=snip"]),
        ("figure=accuracy bracnh=reinit", ["no option 'bracnh=reinit'", "branch="]),
        ("figure=accuracy colour=red", ["'colour'", "figure=accuracy has the settings x, y, branch"]),
        ("figure=accuracy to=a.jpg", ["to=a.jpg: a figure is a file that ends in .png, .svg, .pdf"]),
        ("figure=accuracy to=a", ["to=a: a figure is a file"]),
        ("figure=accuracy width=wide", ["width=wide: it is column (3.3 in)"]),
        ("figure=accuracy every=maybe", ["every: 'maybe' is no bool"]),
        ("figure=accuracy ylim=low,high", ["ylim: ['low', 'high'] is no"]),
        ("figure=accuracy branch=hold", ["no run has a branch 'hold' (there are: reinit)"]),
        ("figure=weights", ["shows one experiment, and there are 2 (imp; random)", "method=imp"]),
        ("figure=weights first level=x", ["level: 'x' is no int"]),
        ("figure=weights first level=7", ["level=7 is not finished; the last one is 1"]),
        ("figure=overlap first", ["compares 2 to 12 masks, these are 1 levels"]),
        ("figure=accuracy outputs=elsewhere", ["there is no folder elsewhere"]),
        ("figure=accuracy --nope", ["no option '--nope'"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    outputs, lottery, tmp_path, capsys, line, words
):
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.csv")}
    assert lottery("plot", *line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lottery: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err, err
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.csv")} == before
    assert not (tmp_path / "plots").exists()


def test_empty_outputs(lottery, tmp_path, capsys):
    (tmp_path / "outputs").mkdir()
    assert lottery("plot", "figure=accuracy") == 2
    assert "there are no runs under outputs; start one: lottery run" in capsys.readouterr().err


def test_a_damaged_run_is_left_out_and_named(outputs, lottery, capsys):
    (table,) = outputs.glob("second/*/replicate_0/metrics.csv")
    table.write_text("level\n0\n")
    assert lottery("plot", "figure=accuracy") == 0
    out = capsys.readouterr().out
    assert "note: " in out
    assert "second" in out
    assert "is damaged" in out


def test_a_damaged_level_is_one_line(outputs, lottery, capsys):
    (level,) = outputs.glob("first/*/replicate_0/level_01")
    (level / "mask.safetensors").write_bytes(b"no mask")
    assert lottery("plot", "figure=overlap", "between=experiments") == 4
    assert "mask.safetensors is damaged" in capsys.readouterr().err


def test_help_lists_the_figures_and_their_settings(lottery, capsys):
    assert lottery("plot", "--help") == 0
    text = capsys.readouterr().out
    assert text.startswith("Draw a figure of runs")
    listed = [line.split()[0] for line in text[text.index("\nfigures") :].splitlines()[3:]]
    assert listed == figures()
    assert all(len(line) <= 100 for line in text.splitlines())
    for name in figures():
        assert lottery("plot", f"figure={name}", "--help") == 0
        text = capsys.readouterr().out
        function = bind.find("figure", name, "here")
        for setting in bind.settings_of(function):
            assert f"\n{setting}: " in text
        assert all(len(line) <= 100 for line in text.splitlines())


def test_help_and_completion_need_no_torch(tmp_path):
    script = (
        "import sys; from lottery.cli import main; code = main(sys.argv[1:])\n"
        "sys.exit(code or len({'torch', 'hydra', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "plot", "--help"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0


def test_completion(lottery, capsys, monkeypatch):
    def complete(line):
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        assert lottery("-sc", "query=bash") == 0
        return capsys.readouterr().out.split()

    assert complete("lottery plot ") == [f"figure={name}" for name in figures()]
    assert complete("lottery plot figure=c") == ["figure=collapse", "figure=cost", "figure=curves"]
    assert complete("lottery plot figure=overlap be") == ["between="]
    assert complete("lottery pl") == [w for w in complete("lottery p") if w.startswith("pl")]


def test_a_run_takes_no_figure(lottery, capsys):
    assert lottery("run", "figure=accuracy") == 2
    assert "draw it afterwards: lottery plot figure=accuracy" in capsys.readouterr().err
    assert lottery("run", "--help") == 0
    assert "figure: " not in capsys.readouterr().out

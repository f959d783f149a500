"""Names from elsewhere: whatever a record says, nothing of it is obeyed where people look."""

import csv
import io
import json
import re
from xml.etree import ElementTree

import pytest

import lottery as face
from lottery.results.reports import page
from lottery.wording import text as wording

SECRET = "hunter2"
URI = f"https://me:{SECRET}@host/x?token={SECRET}&a=1"
EVIL = [
    "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "[4]&%$#_{}~^\\x",
    "$\\frac{", "a\x1b[31mb\x07\x00c", "a\nb\u2028c", "\u202egnp.\u2066", "\ud800\udcff\ufffe",
    "<script>alert(1)</script>&amp;\"'", "]]></svg>", "x" * 3000, URI, "| `a` |",
]  # fmt: skip
WHOLE = "\n".join(EVIL)
LEGAL = [text for text in EVIL if "\ud800" not in text]  # what YAML can hold
NAMES = ["=1+$x$_<b>\x1b[31m\u202e&%", f"[a]$\\frac{{\n{'y' * 99}"]
LOOKING = [
    "ls", "ls format=csv", "ls format=json", "ls format=latex", "ls format=markdown",
    "ls columns=name,method,prune.criterion.name,dataset.names", "show aaaa",
    "compare", "compare format=csv", "compare format=latex", "compare format=markdown",
    "compare format=json", "diff aaaa bbbb", "doctor", "clean", "show aaaa format=json",
]  # fmt: skip


@pytest.fixture
def hostile(fabricate, lottery):
    """Two experiments whose every field of free text is hostile."""
    for at, ident in enumerate(("aaaaaaaaaa", "bbbbbbbbbb")):
        said = WHOLE if at else WHOLE[::-1].replace(SECRET[::-1], "").replace("//:", "")
        fabricate(
            name=NAMES[at], ident=ident, key=("a", "b", "c"), seconds=(1.0, 2.0, 3.0), choices={"prune": EVIL[at], "model": said, "log": URI},
            config={
                "prune.criterion.name": f"$x{at}", "dataset.names": [*LEGAL], "dataset.name": LEGAL[at],
                "loggers": {"mlflow": {"uri": URI}}, "data": URI, f"train.{EVIL[at]}": EVIL[at],
                "rewind.path": f"{URI}{at}", "model.classes": {EVIL[-1]: [*LEGAL]},
            },
            record={
                "command": f"lottery run {URI} {said}", "followed_by": [said], "host": said,
                "error": said, "state": "failed", "drift": [said, URI], "gpu": said, "torch": said,
                "packages": [said], "warnings": [{"text": text, "kind": "rate"} for text in EVIL],
                "unmasked": dict.fromkeys(EVIL, 3), "environment": {"machine": said},
                "lottery": said, "git": said, "device": said, "platform": said, "python": said,
            },
        )  # fmt: skip
        spoil_layers(fabricate_folder(ident))
    return lottery


def fabricate_folder(ident):
    from pathlib import Path

    [folder] = Path("outputs").glob(f"*/{ident}/replicate_0")
    return folder


def spoil_layers(folder):
    """Let the layers of a run have hostile names, as a net of one's own may give them."""
    from lottery.storage.ledger import Ledger
    from lottery.storage.tables import table

    rows = [
        {"level": level, "layer": text, "kept": 10 - level, "total": 10, "density": 1 - level / 10}
        for level in range(3) for text in EVIL[:-3]
    ]  # fmt: skip
    ledger = Ledger(folder)
    ledger.read(lambda line: None)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    assert out.getvalue() != table(rows).decode()  # names as a table of another program has them
    ledger.write_files({"layers.csv": out.getvalue().encode(errors="backslashreplace")})


def check_plain(text):
    assert SECRET not in text
    odd = {c for c in text if not c.isprintable() and c != "\n"}
    assert not odd, odd


def check_csv(text):
    for row in csv.reader(io.StringIO(text)):
        for cell in row:
            number = re.fullmatch(r"-?([\d.]+(e-?\d+)?|inf)", cell)
            assert number or not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r")), cell


def check_latex(text):
    rows = [line for line in text.splitlines() if line.endswith(r"\\") or "footnotesize" in line]
    assert rows
    for line in rows:
        line = line.removeprefix(r"\par{\footnotesize ").removesuffix(r"\par}").removesuffix(r"\\")
        for known in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"$\pm$", "$-$",
                      "$<$", "$>$", "{[}", "{*}", " & "):  # fmt: skip
            line = line.replace(known, "")
        assert not re.search(r"[&%$#_{}~^\\]", re.sub(r"\\[&%$#_{}]", "", line)), line
        assert line[:1] not in "[*" or not line


@pytest.mark.parametrize("width", ["", "80"])
def test_what_looks_obeys_nothing(hostile, capsys, monkeypatch, width):
    if width:
        monkeypatch.setenv("COLUMNS", width)
    for words in LOOKING[: 9 if width else None]:
        code = hostile("-v", *words.split())
        out, error = capsys.readouterr()
        if words.startswith("diff"):  # a run that was never trained has no level in the store
            assert code == 2 and error.splitlines()[-1].startswith("lottery: diff: no level")
        else:
            assert code in (0, 4) and out, (words, error)  # 4: doctor, what is damaged
        check_plain(out)
        check_plain(error)
        if words.endswith("csv"):
            check_csv(out)
        if words.endswith("latex"):
            check_latex(out)
        if words.endswith("json"):
            json.loads(out)


@pytest.mark.parametrize("words", [["aaaa"], pytest.param([], marks=pytest.mark.slow)])
def test_a_report_obeys_nothing(hostile, tmp_path, words):
    assert hostile("report", *words, "to=x.html") == 0
    text = (tmp_path / "x.html").read_text()
    check_plain(text)
    assert "alert(1)</script>" not in text
    assert "Warnings" in text
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert drawings
    for svg in drawings:
        page.drawing(svg)


@pytest.mark.parametrize("figure", [
    "layers", *(pytest.param(f, marks=pytest.mark.slow) for f in ("accuracy", "cost"))
])  # fmt: skip
def test_a_figure_obeys_nothing(hostile, tmp_path, capsys, figure):
    which = ["aaaa"] if figure == "layers" else []
    names = "x.svg" if figure != "accuracy" else "x.svg,x.png,x.pdf"
    assert hostile("plot", *which, f"figure={figure}", f"to={names}") == 0, capsys.readouterr()
    out, error = capsys.readouterr()
    check_plain(out)
    check_plain(error)
    text = (tmp_path / "x.svg").read_text()
    check_plain(text)
    assert ElementTree.fromstring(text).tag.endswith("svg")
    beside = (tmp_path / "x.csv").read_text()
    check_plain(beside)
    check_csv(beside)
    assert hostile("plot", *which, f"figure={figure}", "to=x.svg") == 0  # its table is known as ours


@pytest.mark.slow
@pytest.mark.parametrize("name", ["=1+$x$_<b>&%", "\u202egnp \u2066x", "a\x1b[31mb", "a" * 200])
def test_figures_of_trained_runs_obey_no_name(run, lottery, tmp_path, capsys, name):
    run(f'name="{name}"')
    capsys.readouterr()
    for figure in ("curves", "early_stop", "filters", "overlap", "weights"):
        assert lottery("plot", f"figure={figure}", f"to={figure}.svg,{figure}.png") == 0
        check_plain("".join(capsys.readouterr()))
        text = (tmp_path / f"{figure}.svg").read_text()
        check_plain(text)
        assert ElementTree.fromstring(text).tag.endswith("svg")
        check_csv((tmp_path / f"{figure}.csv").read_text())


def test_a_notebook_obeys_nothing(hostile):
    shown = face.load("outputs")._repr_html_()
    check_plain(shown)
    assert "<b>" not in shown


@pytest.mark.slow
def test_a_password_is_kept_nowhere(run, lottery, tmp_path, monkeypatch, capsys):
    """The logger has it, and no file of the run: the variable gives it to later commands."""
    from lottery.components.loggers import mlflow

    seen = []

    class Board:
        layers = False

        def __init__(self, about, uri, experiment, layers):
            seen.append(uri)
            assert SECRET not in str(about.settings)

        def write(self, *row):
            raise OSError(f"no connection to {URI}")

        def close(self):
            pass

    monkeypatch.setattr(mlflow, "Run", Board)
    folder = run("log=[mlflow]", f'loggers.mlflow.uri="{URI}"', "levels=1")
    kept = wording.without_password(URI)
    assert kept in (folder / "config.yaml").read_text() and kept in (folder / "run.json").read_text()
    capsys.readouterr()
    branch = ["branch", folder.parent.name, "branch=reinit", "levels=1"]
    assert lottery(*branch) == 2
    line = capsys.readouterr().err
    assert "MLFLOW_TRACKING_URI" in line and line.count("\n") == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)
    assert lottery(*branch) == 0
    assert seen == [URI, URI]
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    run("log=[mlflow]", f'loggers.mlflow.uri="{URI}"', "levels=1")  # the same run goes on


@pytest.mark.parametrize(("text", "kept"), [
    ("postgresql://u:p@h/db", "postgresql://***@h/db"), ("https://h:80/a", "https://h:80/a"),
    ("https://h/?api_key=p&x=1", "https://h/?api_key=***&x=1"), ("a@b: c", "a@b: c"),
    ("'https://u:p@h/?sig=p'", "'https://***@h/?sig=***'"),
])  # fmt: skip
def test_a_password_of_a_uri_is_blanked(text, kept):
    assert wording.without_password(text) == kept == wording.without_password(kept)
    assert wording.private({"a": [text, 1]}) == {"a": [kept, 1]}


@pytest.mark.parametrize("where", ["dataset.path", "rewind.path", "model.init"])
def test_a_password_is_no_part_of_what_a_run_is_known_by(where, lottery, tiny, tmp_path, capsys):
    group = {"dataset.path": ["dataset=image_folder"], "rewind.path": ["rewind=ticket"]}.get(where, [])
    words = tiny if where != "dataset.path" else ["model=lenet5"]
    assert lottery("run", *words, *group, f"{where}='{URI}'") == 2
    line = capsys.readouterr().err
    assert line.startswith(f"lottery: {where}: https://***@host/x?token=***&a=1: ") and line.count("\n") == 1
    assert SECRET not in line and not (tmp_path / "outputs").exists()


def test_each_medium_has_its_door():
    assert [wording.in_csv(v) for v in (-1, -1.5, True, None, float("nan"))] == [-1, -1.5, True, None, ""]
    assert wording.in_csv("\t=1") == "\\t=1"
    assert wording.in_csv(" =1") == "' =1"
    assert wording.in_latex("[a_b]") == r"{[}a\_b]"
    assert wording.in_latex("-1 (-.5 to -2) 1e-3 a-1 2026-11 --x") == r"$-$1 ($-$.5 to $-$2) 1e-3 a-1 2026-11 --x"
    assert wording.in_html("<\x1b>") == "&lt;\\x1b&gt;"
    assert wording.in_figure("a\nb\x1b") == "a\nb\\x1b"
    assert len(wording.in_figure("x" * 3000)) <= wording.LONGEST_LINE + 1

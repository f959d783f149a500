"""`lottery.load`: the tables are the CSVs, whose rows they are stands in front."""

import signal
import warnings

import pandas as pd
import pytest
import torch

import lottery as package
from lottery import cli
from lottery.errors import UsageError
from lottery.results import tidy
from lottery.results.facts import COLUMNS, WHOSE

NUMBERS = ("level", "density", "kept", "total", "step", "test_accuracy")


TINY = [
    "dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", "dataset.validation=12",
    "dataset.classes=4", "dataset.channels=1", "dataset.size=4", "dataset.mean=[0.5]",
    "dataset.std=[0.25]", "model=lenet_300_100", "model.hidden=[4]", "train.batch_size=12",
    "train.length=3ep", "host.threads=1", "host.progress=none", "levels=1", "branch=[shuffle]",
    "rewind=step", "rewind.to=1ep",
]  # fmt: skip


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Two methods of two replicates each, with a control."""
    place = tmp_path_factory.mktemp("tidy") / "outputs"
    names = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
    before = {n: signal.getsignal(getattr(signal, n)) for n in names if hasattr(signal, n)}
    words = [*TINY, f"outputs={place}", "prune=imp,random", "replicate=0,1"]
    assert cli.main(["run", "-m", *words]) == 0
    torch.set_flush_denormal(False)
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)
    return place


def csvs(outputs, name):
    """Return a table of all runs read the plain way."""
    paths = sorted(outputs.glob(f"*/*/replicate_*/{name}"))
    return pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)


@pytest.mark.parametrize("table", ["levels", "branches", "layers"])
def test_tables_are_the_csvs(outputs, table):
    name = "metrics.csv" if table == "levels" else f"{table}.csv"
    found = getattr(package.load(outputs), table)
    assert tuple(found.columns[:7]) == WHOSE
    plain = csvs(outputs, name)
    pd.testing.assert_frame_equal(found.drop(columns=list(WHOSE)), plain, check_dtype=False)
    assert set(found["rewind"]) == {"step 1ep"}
    assert set(found["method"]) <= {"imp", "random"}


def test_curves_are_those_of_the_store(outputs):
    runs = package.load(outputs)
    curves = runs.curves
    assert tuple(curves.columns[:9]) == (*WHOSE, "level", "branch")
    assert set(curves["branch"]) == {"", "shuffle"}
    for row in runs.levels.to_dict("records"):
        own = curves[
            (curves["id"] == row["id"]) & (curves["replicate"] == row["replicate"])
            & (curves["level"] == row["level"]) & (curves["branch"] == "")
        ]  # fmt: skip
        plain = pd.read_csv(outputs / "store" / row["key"] / "curve.csv")
        assert own["test_accuracy"].tolist() == plain["test_accuracy"].tolist()
        assert own["test_accuracy"].iloc[-1] == row["test_accuracy"]


def test_types(outputs):
    runs = package.load(outputs)
    assert tuple(runs.runs.columns) == COLUMNS
    kinds = {c: runs.levels[c].dtype.kind for c in NUMBERS}
    assert kinds == dict.fromkeys(("level", "kept", "total", "step"), "i") | dict.fromkeys(
        ("density", "test_accuracy"), "f"
    )
    assert runs.levels["shared"].dtype == bool
    kinds = {c: runs.runs[c].dtype.kind for c in ("levels", "levels_asked", "density", "left")}
    assert kinds == {"levels": "i", "levels_asked": "i", "density": "f", "left": "f"}
    assert all(isinstance(word, str) for word in runs.runs["id"])
    assert runs.runs["test_accuracy"].tolist() == (
        runs.levels[runs.levels["level"] == 1]["test_accuracy"].tolist()
    )


def test_words_choose(outputs):
    assert len(package.load(outputs).folders) == 4
    assert len(package.load(str(outputs), "prune=imp", "replicate=1").folders) == 1
    assert set(package.load(outputs, "random").levels["method"]) == {"random"}
    with pytest.raises(UsageError, match="no run with prune=snip; prune is imp, random"):
        package.load(outputs, "prune=snip")
    with pytest.raises(UsageError, match="there is no folder"):
        package.load(outputs / "nowhere")


def test_a_damaged_run_is_left_out_with_a_warning_and_listed(fabricate, tmp_path):
    whole, other = fabricate(), fabricate(ident="bbbbbbbbbb")
    (other / "metrics.csv").write_text("level\n9\n")
    runs = package.load(tmp_path / "outputs")
    with pytest.warns(UserWarning, match="bbbbbbbbbb/replicate_0 is left out: .*damaged"):
        assert set(runs.levels["id"]) == {"aaaaaaaaaa"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(runs.levels) == 3  # said once
        assert set(runs.layers["id"]) == {"aaaaaaaaaa", "bbbbbbbbbb"}
        assert runs.runs["state"].tolist() == ["done", "damaged"]
    (whole / "run.json").write_text("{")
    assert package.load(tmp_path / "outputs").runs["state"].tolist() == ["damaged", "damaged"]


def test_no_runs_are_empty_tables(tmp_path):
    (tmp_path / "outputs").mkdir()
    runs = package.load(tmp_path / "outputs")
    assert tuple(runs.runs.columns) == COLUMNS
    for name in tidy.EMPTY:
        table = getattr(runs, name)
        assert len(table) == len(table[table["level"] == 2].groupby("method")["id"].count()) == 0
    assert runs.levels["test_accuracy"].dtype == float
    assert tuple(runs.settings.columns) == WHOSE


@pytest.mark.parametrize("name", list(tidy.EMPTY))
def test_empty_tables_have_the_columns_of_full_ones(outputs, name):
    full, empty = getattr(package.load(outputs), name), tidy.empty(name)
    assert list(empty.columns) == list(full.columns)
    words = [c for c in full if full[c].map(type).eq(str).any()]
    assert [c for c in empty if empty[c].dtype == object] == words
    whole = [c for c in full if full[c].dtype.kind in "ib" and c in tidy.WHOLE | tidy.YES_OR_NO]
    assert [c for c in empty if empty[c].dtype.kind in "ib"] == ["replicate", *whole]


def test_settings_that_differ_are_columns(fabricate, tmp_path):
    for ident, lr, hidden in (("a", 0.05, [300]), ("b", 0.005, None)):
        for k in (0, 1):
            config = {"train.optimizer.lr": lr, "model.hidden": hidden}
            fabricate(ident=ident * 10, replicate=k, config=config | {"model.more": 1} if hidden else config)
    runs = package.load(tmp_path / "outputs")
    settings = runs.settings
    assert list(settings.columns) == [*WHOSE, "model.hidden", "model.more", "train.optimizer.lr"]
    assert settings["train.optimizer.lr"].tolist() == [0.005, 0.005, 0.05, 0.05]
    assert settings["model.hidden"].tolist() == [None, None, [300], [300]]
    assert settings["model.more"].isna().tolist() == [True, True, False, False]
    levels = runs.levels.merge(settings)
    assert len(levels) == len(runs.levels)
    means = levels.groupby("train.optimizer.lr")["test_accuracy"].mean()
    assert means.index.tolist() == [0.005, 0.05]


def test_times_are_times(fabricate, tmp_path):
    fabricate()
    fabricate(ident="b" * 10, record={"started": "yesterday", "ended": None})
    runs = package.load(tmp_path / "outputs").runs
    assert (runs["ended"] - runs["started"]).dt.total_seconds().tolist()[0] == 300
    assert runs["started"].isna().tolist() == [False, True]


def test_names_of_the_api_can_be_completed():
    assert {"load", "run", "draw", "load_ticket", "keep_masked"} <= set(dir(package))
    assert all(getattr(package, name) for name in dir(package))


def test_ids_that_look_like_numbers_stay_words(fabricate, tmp_path):
    from lottery.storage.ledger import Ledger
    from lottery.storage.tables import table

    folder = fabricate(ident="0123456789")
    ledger = Ledger(folder)
    ledger.read(pytest.fail)
    row = {
        "level": 1,
        "density": 0.8,
        "other_run": "2024",
        "other_id": "12e4567890",
        "overlap": 1.0,
    }
    ledger.write_files({"overlaps.csv": table([row])})
    runs = package.load(tmp_path / "outputs")
    assert runs.levels["id"].unique().tolist() == ["0123456789"]
    assert runs.overlaps[["other_run", "other_id"]].values.tolist() == [["2024", "12e4567890"]]


def test_columns_that_some_runs_lack(fabricate, tmp_path):
    """As of runs of an earlier version, without the columns of cost."""
    fabricate(ident="a0", energy=(1.0, 2.0, 3.0))
    fabricate(ident="b0")
    fabricate(ident="c0", test_accuracy=(None, None, None))
    levels = package.load(tmp_path / "outputs").levels
    assert levels["energy"].notna().tolist() == [True] * 3 + [False] * 6
    assert levels["test_accuracy"].isna().sum() == 3
    assert levels["test_accuracy"].dtype.kind == "f"


def test_runs_say_in_a_line_what_they_are(tmp_path):
    assert repr(tidy.Runs(())) == "<Runs: 0 of nothing>"
    folders = [tmp_path / name / "0123456789" / "replicate_0" for name in ("b", "a")]
    assert repr(tidy.Runs(tuple(folders))) == "<Runs: 2 of a, b>"

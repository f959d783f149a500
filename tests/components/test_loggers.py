"""Boards show the names and numbers of the CSV files, each row once, and never cost a run."""

import builtins
import json
import math
import struct
from pathlib import Path

import pandas as pd
import pytest

from lottery.components.loggers import tensorboard
from lottery.components.loggers.tensorboard import EventFiles
from lottery.config import bind, packages
from lottery.errors import DamagedError, UsageError
from lottery.experiment import logbook
from lottery.experiment.logbook import boards_of
from lottery.machine import signals
from lottery.progress import bars
from lottery.progress.boards import About, numbers
from lottery.storage import records
from lottery.storage.links import follow

HOW = {
    "tensorboard": ["log=tensorboard"],
    "wandb": ["log=[wandb]", "loggers.wandb.mode=offline"],
    "mlflow": ["log=[mlflow]"],
}  # fmt: skip
SLOW = pytest.param("wandb", marks=pytest.mark.slow)  # it starts a process of its own


def cells(table, axis):
    """Return {column: {x: number}} of a CSV's rows."""
    found = {}
    for row in table.to_dict("records"):
        for column, value in numbers(row).items():
            if column != axis:
                found.setdefault(column, {})[int(row[axis])] = value
    return found


def on_disk(folder, layers=False):
    """Return what the CSV files of a run hold: {table: {column: {x: number}}}."""
    found = {"metrics": cells(pd.read_csv(folder / "metrics.csv"), "level")}
    for place in sorted(folder.glob("level_*")):
        found[place.name] = cells(pd.read_csv(place / "curve.csv"), "step")
    if (folder / "branches.csv").exists():
        for name, rows in pd.read_csv(folder / "branches.csv").groupby("branch"):
            found[f"branches/{name}"] = cells(rows, "level")
    if layers:
        for name, rows in pd.read_csv(folder / "layers.csv").groupby("layer"):
            found[f"layers/{name}"] = cells(rows, "level")
    return found


def on_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    root = folder.parents[2] / "boards" / "tensorboard"
    root = root.joinpath(*folder.parts[-3:])
    found = {}
    for path in sorted({p.parent for p in root.rglob("events.*")} - {root}):
        board = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
        found[str(path.relative_to(root))] = {
            tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]
        }
    return found


def on_mlflow(folder):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(folder.parents[2] / "boards" / "mlflow").as_uri())
    (experiment,) = client.search_experiments(filter_string="name = 'lottery'")
    runs = client.search_runs([experiment.experiment_id])
    mine = f"{folder.parent.name}_{folder.name}"
    (run,) = [r for r in runs if r.data.tags["lottery.run"] == mine]
    assert run.info.status == "FINISHED"
    found = {}
    for key in run.data.metrics:
        table, _, column = key.rpartition("/")
        history = client.get_metric_history(run.info.run_id, key)
        found.setdefault(table, {})[column] = [(m.step, m.value) for m in history]
    return found


def logged(data):
    """Yield the records of a .wandb file, which is a LevelDB log: blocks of 32 KiB."""
    at, kept = 7, b""
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        _, size, kind = struct.unpack("<IHB", data[at : at + 7]) if room >= 7 else (0, 0, 0)
        if kind == 0:
            at += room
            continue
        kept += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            yield kept
            kept = b""


def on_wandb(folder):
    from wandb.proto import wandb_internal_pb2

    found = {}
    mine = f"{folder.parent.name}_{folder.name}"
    root = folder.parents[2] / "boards" / "wandb" / "wandb"
    for path in sorted(root.glob(f"offline-run-*-{mine}/*.wandb")):
        for data in logged(path.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            row = {i.key or i.nested_key[0]: json.loads(i.value_json) for i in record.history.item}
            row = {k: v for k, v in row.items() if not k.startswith("_")}
            for key, value in row.items():
                table, _, column = key.rpartition("/")
                axis = "step" if table.startswith("level_") else "level"
                if column != axis:
                    x = row[f"{table}/{axis}"]
                    found.setdefault(table, {}).setdefault(column, []).append((x, value))
    return found


SHOWN = {"tensorboard": on_tensorboard, "mlflow": on_mlflow, "wandb": on_wandb}


def assert_shown(board, folder, layers=False):
    """Assert that a board shows what the CSV files hold, by the same names, each number once."""
    found, expected = SHOWN[board](folder), on_disk(folder, layers)
    assert found.keys() == expected.keys()
    for table, columns in expected.items():
        assert found[table].keys() == columns.keys(), table
        for column, values in columns.items():
            points = found[table][column]
            assert [x for x, _ in points] == sorted(values), (table, column)
            for x, value in points:
                near = 1e-6 if board == "tensorboard" else 1e-12  # it keeps 32 bits
                assert math.isclose(value, values[x], rel_tol=near, abs_tol=1e-9), (
                    table,
                    column,
                    x,
                )


@pytest.mark.parametrize("board", ["tensorboard", "mlflow", SLOW])
def test_names_and_numbers_are_those_of_the_csv_files(run, board):
    folder = run(*HOW[board], "branch=[shuffle]", "branch_levels=[2]")
    assert len(on_disk(folder)) == 1 + 3 + 1 + 1
    assert_shown(board, folder)


def test_layers_are_shown_where_that_is_asked_for(run):
    folder = run(*HOW["tensorboard"], "loggers.tensorboard.layers=true", "levels=1")
    assert_shown("tensorboard", folder, layers=True)


def test_a_branch_is_logged_to_where_its_run_was(run, lottery):
    folder = run(*HOW["tensorboard"])
    assert lottery("branch", folder.parent.name, "branch=shuffle", "levels=1") == 0
    assert_shown("tensorboard", folder)


def test_a_branch_may_be_logged_elsewhere(run, lottery, capsys):
    folder = run(*HOW["tensorboard"], "levels=1")
    shown = on_tensorboard(folder)
    assert lottery("branch", folder.parent.name, "branch=shuffle", "log=[]") == 0
    assert on_tensorboard(folder) == shown
    assert lottery("branch", folder.parent.name, "branch=reinit", "log=tensorbord") == 2
    assert "log: there is no 'tensorbord'; did you mean 'tensorboard'?" in capsys.readouterr().err


@pytest.fixture
def stop(monkeypatch):
    """Ask the run to stop at a row of its curves, counted from 1, as Ctrl-C would."""

    def at(number):
        left, real = [number], bars.Progress.row

        def row(self, curve):
            real(self, curve)
            left[0] -= 1
            if left[0] == 0:
                signals.ASKED.append(130)

        monkeypatch.setattr(bars.Progress, "row", row)

    yield at
    signals.forget()


@pytest.mark.parametrize("board", ["tensorboard", "mlflow", SLOW])
def test_a_resumed_run_shows_each_row_once(run, stop, board):
    stop(7)
    run(*HOW[board], "levels=1", "checkpoint_every=2it", "evaluate_every=2it", code=130)
    for levels in (1, 2):
        folder = run(*HOW[board], f"levels={levels}", "evaluate_every=2it", "checkpoint_every=2it")
    assert len(on_disk(folder)["level_00"]["lr"]) == 7
    assert_shown(board, folder)


@pytest.mark.parametrize("board", ["tensorboard", "mlflow"])
def test_levels_that_another_run_has_trained_are_shown(run, board):
    run("prune=random", "levels=1")
    folder = run(*HOW[board], "levels=1")
    assert pd.read_csv(folder / "metrics.csv")["shared"].tolist() == [True, False]
    assert_shown(board, folder)


def test_a_finished_run_is_shown_when_it_is_asked_for(run):
    run("levels=1")
    assert_shown("tensorboard", run(*HOW["tensorboard"], "levels=1"))


def keys(folder):
    return [follow(place) for place in sorted(folder.glob("level_*"))]


def test_logging_is_no_part_of_a_run(run, tmp_path):
    plain = run("levels=1")
    record = records.read_run(plain)
    logged = run(*HOW["tensorboard"], "levels=1")
    assert logged == plain
    assert records.read_run(plain)["started"] == record["started"]
    assert "loggers" not in {key.partition(".")[0] for key in About(plain, {}).settings}


@pytest.mark.parametrize("broken", ["write", "close"])
def test_a_board_that_fails_is_left_out_and_the_run_goes_on(run, monkeypatch, capsys, broken):
    calls = []

    def fail(self, *arguments, **options):
        calls.append(broken)
        raise ConnectionError("the network\nis away")

    monkeypatch.setattr(EventFiles, broken, fail)
    folder = run(*HOW["tensorboard"])
    error = capsys.readouterr().err
    assert error.count("warning: log: tensorboard has failed and is left out") == 1
    assert "(the network is away)" in error
    assert len(calls) == 1
    assert records.read_run(folder)["state"] == "done"
    monkeypatch.undo()
    assert_rows(folder)


def test_a_board_on_a_full_disk_is_one_warning(run, monkeypatch, capfd):
    monkeypatch.setattr(tensorboard, "EventFiles", on_a_full_disk)
    run(*HOW["tensorboard"], "levels=1")
    (line,) = capfd.readouterr().err.splitlines()
    assert "warning: log: tensorboard has failed and is left out from here on" in line
    assert "No space left on device" in line


def on_a_full_disk(*about):
    board = EventFiles(*about)
    board.files = dict.fromkeys(["level_00", "level_01", "metrics"], Path("/dev/full"))
    return board


def test_tables_that_cannot_be_read_cost_no_run(run, monkeypatch, capsys):
    def damaged(self):
        raise DamagedError("metrics.csv is damaged")

    monkeypatch.setattr(logbook.Logbook, "read", damaged)
    folder = run(*HOW["tensorboard"])
    assert capsys.readouterr().err.count("nothing is logged (metrics.csv is damaged)") == 1
    monkeypatch.undo()
    assert_rows(folder)


def assert_rows(folder):
    assert pd.read_csv(folder / "metrics.csv")["level"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_package_that_is_not_installed_is_one_line_before_anything_begins(
    lottery, tiny, tmp_path, capsys, monkeypatch, name
):
    real = builtins.__import__

    def without(module, *arguments, **options):
        if module.partition(".")[0] == name:
            raise ModuleNotFoundError(f"No module named '{name}'")
        return real(module, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert lottery("run", *tiny, f"log=[{name}]") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{name} is not installed; type: pip install 'lottery[{name}]'" in error
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["log=[tensorbord]"], "log: there is no 'tensorbord'; did you mean 'tensorboard'?"),
        (["log=wandb", "loggers.wandb.mode=ofline"], "wandb has no mode 'ofline'"),
        (["log=wandb", "loggers.wandb.projekt=x"], "no setting 'projekt'"),
        (["log=wandb", "+loggers.wandb.projekt=x"], "wandb has no setting 'projekt'; did you mean 'project'?"),
        (["log=mlflow", "loggers.mlflow.layers=much"], "loggers.mlflow.layers: 'much' is no bool"),
        (["+loggers.mine.name=mine"], "there is no log 'mine'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(lottery, tiny, tmp_path, capsys, words, said):
    assert lottery("run", *tiny, *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


class Kept:
    """A board that keeps what it is told."""

    layers = False

    def __init__(self, rows):
        self.rows = rows

    def write(self, table, x, row):
        self.rows.append((table, x))

    def close(self):
        self.rows.append("closed")


def test_a_users_own_logger_comes_by_an_entry_point(run, monkeypatch):
    rows = []

    def mine(about, *, greeting: str):
        rows.append((about.name, greeting))
        return Kept(rows)

    class Installed:
        name = "mine"

        def load(self):
            return mine

    monkeypatch.setattr(
        packages, "entries", lambda group: [Installed()] if group == "lottery.log" else []
    )
    run("+loggers.mine.name=mine", "+loggers.mine.greeting=hello", "levels=1", "name=first")
    assert rows[0] == ("first", "hello")
    curve = [0, 4, 8, 12]
    assert rows[1:] == [
        *(("level_00", x) for x in curve), ("metrics", 0), *(("level_01", x) for x in curve), ("metrics", 1), "closed",
    ]  # fmt: skip


def test_a_config_of_an_earlier_version_logs_nowhere():
    assert boards_of({"dataset": {}}, Path("/a/b/c/replicate_0")) == {}


def test_numbers_are_what_is_finite():
    row = {"a": 1, "b": True, "c": float("nan"), "d": "x", "e": None, "f": 2.5, "g": math.inf}
    assert numbers(row) == {"a": 1.0, "b": 1.0, "f": 2.5}


def test_where_boards_are(tmp_path):
    about = About(tmp_path / "outputs" / "name" / "0123456789" / "replicate_3", {})
    assert about.place(None, "wandb") == tmp_path / "outputs" / "boards" / "wandb"
    assert about.place(str(tmp_path / "x"), "wandb") == tmp_path / "x"
    assert (about.name, about.identity) == ("name", "0123456789_replicate_3")


@pytest.fixture
def about(tmp_path):
    """A run that a board shows."""
    settings = {"train.optimizer.lr": 0.1, "dataset.flip": False, "dataset.name": "x", "clip": None}
    return About(tmp_path / "outputs" / "net_data_imp" / "4f3a012345" / "replicate_2", settings)


def test_tensorboard_has_the_settings_of_a_run_and_the_group_of_its_replicates(about):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    for replicate in (0, 2):
        about = About(about.folder.with_name(f"replicate_{replicate}"), about.settings)
        board = tensorboard.tensorboard(about, dir=None, layers=False)
        for level in range(2):
            board.write("metrics", level, {"test_accuracy": 0.5})
        root = about.place(None, "tensorboard") / "net_data_imp" / "4f3a012345" / about.folder.name
        assert len(list(root.glob("events.*"))) == 1
        shown = EventAccumulator(str(root)).Reload().summary_metadata
        (content,) = [m.plugin_data.content for m in shown.values()]
        said = metadata.parse_session_start_info_plugin_data(content)
        assert said.group_name == "4f3a012345"
        kept = {key: getattr(v, v.WhichOneof("kind")) for key, v in said.hparams.items()}
        assert kept == {**about.settings, "clip": "None"}
        assert kept["dataset.flip"] is False


def test_mlflow_has_a_short_name_and_the_group_of_replicates(about):
    from mlflow import MlflowClient

    board = bind.find("log", "mlflow", "x")(about, uri=None, experiment="x", layers=False)
    board.write("metrics", 0, {"test_accuracy": 0.5})
    client = MlflowClient(tracking_uri=about.place(None, "mlflow").as_uri())
    (shown,) = client.search_runs([client.get_experiment_by_name("x").experiment_id])
    assert shown.info.run_name == "net_data_imp 4f3a/2"
    assert shown.data.tags["lottery.group"] == "4f3a012345"
    assert shown.data.params["train.optimizer.lr"] == "0.1"


def test_wandb_has_a_short_name_and_the_group_of_replicates(about, tmp_path):
    from lottery.components.loggers import wandb

    begun = []

    class Client:
        def init(self, **how):
            begun.append(how)

        def Settings(self, **how):  # noqa: N802 (its name there)
            return None

    how = {"project": "x", "entity": None, "mode": "offline"}
    wandb.Run(Client(), about, tmp_path / "wandb", how, False).begin()
    assert begun[0]["name"] == "net_data_imp 4f3a/2"
    assert begun[0]["group"] == "4f3a012345"
    assert begun[0]["id"] == "4f3a012345_replicate_2"
    assert begun[0]["config"] == about.settings


def test_rows_are_told_in_order_and_once():
    rows = []
    book = logbook.Logbook(None, {"kept": Kept(rows)}, print)
    curve = [{"step": 0, "lr": 0.1}, {"step": 5, "lr": 0.1}]
    book.curve(1, "", curve[:1])
    book.curve(1, "", curve)
    book.curve(1, "shuffle", curve)
    assert rows == [
        ("level_01", 0),
        ("level_01", 5),
        ("level_01_shuffle", 0),
        ("level_01_shuffle", 5),
    ]


def test_a_mode_that_wandb_has_not():
    with pytest.raises(UsageError, match="there are: online, offline"):
        bind.find("log", "wandb", "x")(
            None, project="", mode="on", entity=None, dir=None, layers=False
        )

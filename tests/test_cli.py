"""The real command line, in its own process: help, typos, exit codes, sweeps, completion."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from lottery import cli
from lottery.config.compose import order
from lottery.errors import LotteryError
from lottery.storage import records


def test_alone_it_lists_the_commands(shell):
    for words in ((), ("--help",)):
        done = shell(*words)
        assert done.returncode == 0
        assert all(f"  {c} " in done.stdout for c in ("run", "ls", "show"))
        assert "exit codes: 0 done" in done.stdout


NOTHING_HEAVY = """
import sys
from lottery.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "torchvision"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""


@pytest.mark.parametrize(
    "line",
    ["", "run --help", "run --cfg job", "run --cfg job --resolve", "run --info defaults", "ls", "ls --help",
     "show --help", "-sc install=bash", "run model=resnet56 --cfg job --package model"],
)  # fmt: skip
def test_help_and_configs_answer_without_torch(line, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", NOTHING_HEAVY, *line.split()],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not list(tmp_path.iterdir())


def test_run_help_shows_the_groups(shell):
    text = shell("run", "--help").stdout
    for group, option in (("model", "resnet20"), ("dataset", "digits"), ("prune", "imp")):
        assert f"{group}: " in text
        assert option in text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("show", ["no runs under outputs; start one: lottery run"]),
        ("show nothing", ["'nothing' names no run"]),
        ("ls outptus=x", ["no option 'outptus=x'"]),
        ("rum", ["no command 'rum'", "did you mean 'run'"]),
        ("run modle=resnet20", ["'modle'", "did you mean 'model'"]),
        ("run train.optimzer.lr=0.1", ["train has no 'optimzer'", "did you mean 'train.optimizer'?"]),
        ("run loggers.tensorbard.layers=true", ["loggers has no 'tensorbard'", "did you mean 'loggers.tensorboard'?"]),
        ("run loggers.tensorboard.layers=true", ["type log=[tensorboard], too"]),
        ("run levels=1.5", ["levels=1.5: the value is no whole number"]),
        ("run sanity=maybe", ["sanity=maybe: the value is neither true nor false"]),
        ("run -m replicate=0,1,", ["'replicate=0,1,' is no override that hydra can read"]),
        ("run trian.lr=0.1", ["no setting 'trian'", "did you mean 'train'?"]),
        ("run model=resnet21", ["model: there is no 'resnet21'", "did you mean 'resnet"]),
        ("run experiment=nope", ["experiment: there is no 'nope'"]),
        ("run train/lr=cosin", ["train/lr: there is no 'cosin'", "did you mean 'cosine'"]),
        ("run branch=[reinit,shufle]", ["branch: there is no 'shufle'", "did you mean 'shuffle'"]),
        ("run model.widht=3", ["model has no setting 'widht'", "did you mean 'width'"]),
        ("run train.lenght=3ep", ["'train.lenght'", "did you mean 'train.length'"]),
        ("run train.optimizer.momentun=0", ["no setting 'momentun'", "did you mean 'momentum'"]),
        ("run +model.widht=3", ["model: resnet_cifar has no setting 'widht'", "did you mean 'width'"]),
        ("run prune.criterion.name=magnitud", ["no criterion 'magnitud'", "did you mean 'magnitude'"]),
        ("run prune.criterion.name=os.system", ["no criterion 'os.system'"]),
        ("run levels=x", ["levels", "no whole number"]),
        ("run levels=-1", ["levels: -1 is below 0"]),
        ("run levels", ["'levels' is no override"]),
        ("run prune=imp,random", ["add -m"]),
        ("run --nope", ["no flag '--nope'"]),
        ("run train.optimizer.lr=much", ["train.optimizer.lr: 'much' is no float"]),
        ("run train.length=long", ["train.length: 'long' names no step"]),
        ("run evaluate_every=0it", ["evaluate_every=0it is no length"]),
        ("run checkpoint_every=soon", ["checkpoint_every: 'soon'"]),
        ("run train.precision=fp8", ["train.precision: 'fp8' is none of fp32, bf16"]),
        ("run host.device=tpu9", ["host.device: 'tpu9' cannot be used here"]),
        ("run rewind=step rewind.to=16ep", ["rewind: step", "after the end of training"]),
        ("run rewind=step rewind.to=soon", ["rewind: 'soon' names no step"]),
        ("run prune=early prune.at=99ep", ["prune.at: step", "after the end of training"]),
        ("run schedule.keep=1.5", ["density 1.5", "pruning cannot add"]),
        ("run schedule=listed schedule.densities=[0.2,0.5]", ["level 2 has density 0.5", "above"]),
        ("run schedule=listed levels=9", ["levels=9: the schedule lists 6"]),
        ("run schedule=linear levels=11", ["keeps 0 of"]),
        ("run prune.exclude=[fcc]", ["no prunable layer fits the pattern 'fcc'"]),
        ("run prune/allocation=layerwise +prune.allocation.rates.fcc=0.5", ["'fcc' fits no layer"]),
        ("run prune/allocation=layerwise prune.allocation.rates={fcc:0.5}", ["'fcc' fits no layer"]),
        ("run train.optimizer.groups={conv1.weigth:{lr:1}}", ["'conv1.weigth' fits no parameter", "did you mean 'conv.weight'"]),
        ("run train.optimizer.groups={*:{lr:1},fc:{lr:2}}", ["patterns before 'fc' fit all"]),
        ("run train.optimizer.groups={fc:{beta:1}}", ["groups.fc: sgd has no setting 'beta'"]),
        ("run train.optimizer.groups={fc:{lr:abc}}", ["groups.fc.lr: 'abc' is no float"]),
        ("run train.optimizer.groups={fc:{lr:-1}}", ["groups.fc: Invalid learning rate: -1"]),
        ("run train.optimizer.groups={fc:0.1}", ["groups.fc: 0.1 is no setting"]),
        ("run train.optimizer.groups={fc:{name:adam}}", ["a group has no 'name' of its own"]),
        ("run branch=[shuffle] branch_levels=[0]", ["branch shuffle: level 0 is not pruned"]),
        ("run branch=[shuffle] rewind=lr", ["branch shuffle", "keeps weights of the level before"]),
        ("run train.clip=-1", ["train.clip: -1"]),
        ("run train.label_smoothing=2", ["train.label_smoothing: 2"]),
        ("run train.optimizer.lr=-1", ["train.optimizer: Invalid learning rate: -1"]),
        ("run train.optimizer.lr=nan", ["train.optimizer.lr: nan is no finite number"]),
        ("run train.optimizer.nesterov=true train.optimizer.momentum=0", ["train.optimizer: Nesterov"]),
        ("run train/optimizer=adam train.optimizer.betas=[0.9]", ["train.optimizer: "]),
        ("run train/lr=milestones train.lr.at=[80ep]", ["train.lr: the milestone 80ep is after"]),
        ("run train.warmup=99ep", ["train.warmup=99ep is longer than training"]),
        ("run host.threads=0", ["host.threads: 0 is below 1"]),
        ("run schedule.keep=nan", ["schedule.keep: nan"]),
        ("run host.device=meta", ["host.device: 'meta' cannot be used here"]),
        ("run name=..", ["name: '..' is no name"]),
        ("run name=a/b", ["name: 'a/b' is no name"]),
        ("run model=mobilenet_v1 model.hidden=[4]", ["model has no setting 'hidden'"]),
        ("run --experimental-rerun x", ["no flag '--experimental-rerun'"]),
        ("run levels=40 prune/allocation=layerwise +prune.allocation.rates.fc=0", ["of rate 0 keep 640"]),
        ("run dataset.validation=9999", ["dataset.validation=9999"]),
        ("run dataset=image_folder dataset.path=nowhere", ["nowhere"]),
        ("run model=lenet5 model.padding=0", ["lenet5"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_exit_2_and_leaves_nothing(lottery, tmp_path, capsys, line, words):
    assert lottery(*line.split()) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("lottery: ")
    assert "\n" not in error
    for word in words:
        assert word in error, error
    assert not (tmp_path / "outputs").exists()


def test_a_typo_in_a_users_own_yaml(lottery, tmp_path, capsys):
    for place, text, word in (
        ("model/mine", "name: lenet\nhiden: [3]\ninit: kaiming_normal\n", "no setting 'hiden'; did you mean 'hidden'"),
        ("experiment/mine", "# @package _global_\nlevls: 3\n", "'levls'"),
    ):  # fmt: skip
        path = tmp_path / "mine" / f"{place}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        group = place.split("/")[0]
        assert lottery("run", "--config-dir", tmp_path / "mine", f"{group}=mine") == 2
        error = capsys.readouterr().err.strip()
        assert word in error
        assert "\n" not in error
        path.unlink()
    assert not (tmp_path / "outputs").exists()


def test_a_users_file_that_is_no_yaml(lottery, tmp_path, capsys):
    path = tmp_path / "mine" / "model" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("name: lenet\nhidden: [3\n")
    assert lottery("run", "--config-dir", tmp_path / "mine", "model=mine") == 2
    assert "this is no YAML" in capsys.readouterr().err


def test_a_users_yaml_composes(run, tmp_path):
    path = tmp_path / "mine" / "experiment" / "small.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# @package _global_\ndefaults:\n  - override /rewind: lr\nname: small\n")
    folder = run("--config-dir", tmp_path / "mine", "experiment=small")
    assert folder.parent.parent.name == "small"


def test_flags_may_stand_anywhere():
    line = "model=a --cfg job levels=1 --resolve --config-dir d x=1 --info plugins"
    assert order(line.split()) == (
        "--cfg job --resolve --config-dir d --info plugins model=a levels=1 x=1".split()
    )


def test_multirun_anywhere_lists_every_failure_and_finishes_the_rest(lottery, tiny, capsys):
    code = lottery("run", *tiny, "rewind=step", "rewind.to=1ep,98ep,99ep", "levels=1", "-m")
    out, err = capsys.readouterr()
    assert code == 2
    assert "sweep: 1 of 3 runs done" in out
    assert out.count("failed: ") == 2
    assert "rewind.to=98ep" in out
    assert "rewind.to=99ep" in out
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("line", "expected"),
    [("lottery r", "run"), ("lottery run mod", "model="), ("lottery run model=resnet2", "model=resnet20")],
)  # fmt: skip
def test_completion(shell, line, expected):
    env = {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    assert expected in shell("-sc", "query=bash", env=env).stdout.split()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_installs(shell, name):
    assert "lottery" in shell("-sc", f"install={name}").stdout


def background(tmp_path, words):
    return subprocess.Popen(
        [sys.executable, "-m", "lottery", "run", *words], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def wait_for(condition, process):
    until = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)


def test_two_processes_on_one_run(tmp_path, tiny, lottery, capsys):
    long = [*tiny, "train.length=1000000it", "checkpoint_every=10it"]
    first = background(tmp_path, long)
    try:
        wait_for(lambda: list(tmp_path.glob("outputs/store/*/checkpoint-*")), first)
        assert lottery("run", *long) == 3
        error = capsys.readouterr().err
        assert f"process {first.pid} on" in error
    finally:
        first.kill()
        first.communicate()


@pytest.mark.slow
def test_two_runs_that_want_one_level(tmp_path, tiny):
    """The second waits; when the first is killed it goes on from the first's checkpoint."""
    words = [*tiny, "train.length=1000000it", "checkpoint_every=10it"]
    first = background(tmp_path, [*words, "name=first"])
    wait_for(lambda: list(tmp_path.glob("outputs/store/*/checkpoint-*")), first)
    second = background(tmp_path, [*words, "name=second", "host.progress=lines"])
    said = ""
    while "waiting to share it" not in said:
        said = second.stderr.readline()
        assert said, "the second ended"
    first.kill()
    first.communicate()
    (shelf,) = tmp_path.glob("outputs/store/*")
    before = {p.name for p in shelf.glob("checkpoint-*")}
    wait_for(lambda: {p.name for p in shelf.glob("checkpoint-*")} - before, second)
    assert min(int(p.name.split("-")[1]) for p in shelf.glob("checkpoint-*")) >= 10
    second.kill()
    second.communicate()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs resource limits")
@pytest.mark.slow
def test_a_full_disk_is_exit_5_and_the_run_goes_on_afterwards(tmp_path, tiny, shell):
    import resource

    words = ["run", *tiny, "model.hidden=[2000]", "levels=0"]

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    done = shell(*words, preexec_fn=limit)
    assert done.returncode == 5
    assert "cannot write" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob(".tmp-*"))
    assert shell(*words).returncode == 0


@pytest.mark.parametrize(
    ("name", "code"),
    [("SIGINT", 130)]
    + [pytest.param(name, code, marks=pytest.mark.slow) for name, code in (("SIGTERM", 143), ("SIGUSR1", 75), ("SIGUSR2", 75))],
)
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, tiny, name, code):
    words = [*tiny, "train.length=1000000it", "checkpoint_every=10it", "evaluate_every=1000it"]
    process = background(tmp_path, words)
    wait_for(lambda: list(tmp_path.glob("outputs/store/*/checkpoint-*")), process)
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=300)
    assert process.returncode == code
    assert "to go on from here: lottery run dataset=synthetic" in error
    assert "Traceback" not in error
    record = json.loads(next(tmp_path.glob("outputs/*/*/*/run.json")).read_text())
    assert record["state"] == "stopped"


def test_a_changed_config_or_data_set_is_refused(run, lottery, tiny, capsys):
    folder = run()
    path = folder / "config.yaml"
    text = path.read_text()
    path.write_text(text.replace("momentum: 0.9", "momentum: 0.8"))
    assert lottery("run", *tiny) == 2
    said = capsys.readouterr().err
    assert "is not the config that is asked for" in said
    assert "train.optimizer.momentum is 0.8 there, 0.9 asked" in said
    path.write_text(text)
    record = records.read_run(folder) | {"data": "other"}
    (folder / "run.json").write_text(json.dumps(records.signed(record)))
    assert lottery("run", *tiny) == 2
    assert "the data set has changed" in capsys.readouterr().err


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["show", LONG], ["tail", LONG], ["compare", LONG], ["diff", LONG, LONG], ["ls", LONG],
        ["bench", LONG, "level=1"], ["export", LONG, "level=1"], ["compact", LONG, "level=1"],
        ["import", LONG, "model=lenet"], ["report", LONG], ["clean", f"run={LONG}"],
        ["branch", LONG, "branch=shuffle"], ["plot", "figure=accuracy", LONG],
        ["ls", f"outputs={LONG}"], ["run", f"outputs={LONG}", "dataset=synthetic"],
    ],
    ids=lambda words: " ".join(words).replace(LONG, "LONG"),
)  # fmt: skip
def test_a_name_that_no_disk_takes_is_a_usage_error(lottery, capsys, words):
    assert lottery(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "a bug in lottery?" not in line


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.ENAMETOOLONG, 2, "it is longer than a name may be"),
        (errno.EACCES, 5, "cannot use a/file: Permission denied"),
        (errno.EIO, 5, "cannot use a/file: Input/output error"),
    ],
)
def test_what_the_disk_refuses_is_no_bug(monkeypatch, capsys, number, code, said):
    def refuse(arguments):
        raise OSError(number, os.strerror(number), "a/file")

    monkeypatch.setattr(cli, "dispatch", refuse)
    assert cli.main([]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "bug" not in line


def test_term_ends_a_command_as_ctrl_c_does(monkeypatch, capsys):
    cleared = []

    def work(arguments):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            cleared.append(True)

    monkeypatch.setattr(cli, "dispatch", work)
    assert cli.main([]) == 143
    assert cleared
    assert capsys.readouterr().err == "lottery: terminated\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("kind", [Exception, LotteryError])
def test_no_part_of_a_command_takes_term_for_its_own_failure(monkeypatch, capsys, kind):
    def work(arguments):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        except kind:
            return 0

    monkeypatch.setattr(cli, "dispatch", work)
    assert cli.main([]) == 143
    assert capsys.readouterr().err == "lottery: terminated\n"


def test_a_terminal_that_knows_few_letters_is_told_all_the_same(shell, fabricate):
    fabricate(name="\u00e9\u2603")
    done = shell("ls", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xe9\\u2603" in done.stdout


@pytest.mark.parametrize("where", ["outputs", "outputs/store", "outputs/NAME"])
@pytest.mark.parametrize("how", ["dead", "circle", "file"])
def test_what_stands_in_the_way_is_exit_2_with_the_command_that_cures_it(lottery, tiny, tmp_path, capsys, where, how):
    """Exit 5 would have a requeue try for ever: no disk will answer."""
    place = tmp_path / where.replace("NAME", "lenet_300_100_synthetic_imp")
    place.parent.mkdir(parents=True, exist_ok=True)
    if how == "file":
        place.write_text("mine")
    else:
        place.symlink_to(place if how == "circle" else tmp_path / "gone")
    assert lottery("run", *tiny, "levels=0") == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    command = shlex.split(said.rpartition("; type: ")[2].removesuffix(", then the same command") if "; type: " in said else said.rpartition("or type: ")[2].removesuffix(", then the same command"))
    assert command[0] in ("rm", "mv"), said
    subprocess.run(command, cwd=tmp_path, check=True)
    assert lottery("run", *tiny, "levels=0") == 0

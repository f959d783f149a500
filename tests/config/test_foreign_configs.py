"""A config from elsewhere runs nothing, reads no secret, and is refused by name."""

import os
import sys

import pytest

import lottery as face
from lottery.config.interpolation import plain
from lottery.errors import UsageError

CALL = "{_target_: os.mkdir, path: CANARY}"
HANDLER = "{version: 1, root: {handlers: [f]}, handlers: {f: {class: logging.FileHandler, filename: CANARY}}}"
GLOBAL = "# @package _global_\n"
EVIL = {  # name -> yaml files, of which experiment/evil.yaml is chosen
    "a callback": {"experiment/evil": f"{GLOBAL}hydra: {{callbacks: {{x: {CALL}}}}}"},
    "a callback beside what may be": {
        "experiment/evil": f"{GLOBAL}hydra:\n  sweeper: {{params: {{replicate: '0,1'}}}}\n  callbacks: {{x: {CALL}}}"
    },
    "a package": {"experiment/evil": f"# @package hydra.callbacks\nx: {CALL}"},
    "a package from the top": {"experiment/evil": f"# @package _global_.hydra.callbacks.x\n{CALL}"},
    "a group of its own": {
        "experiment/evil": f"{GLOBAL}defaults: [{{/hydra/callbacks: evil}}]", "hydra/callbacks/evil": f"x: {CALL}"
    },
    "an override of a group": {
        "experiment/evil": f"{GLOBAL}defaults: [{{override /hydra/callbacks: evil}}]",
        "hydra/callbacks/evil": f"x: {CALL}",
    },
    "an option put elsewhere": {
        "experiment/evil": f"{GLOBAL}defaults: [{{/model@hydra.callbacks: evil}}]", "model/evil": f"x: {CALL}"
    },
    "a file put elsewhere": {
        "experiment/evil": f"{GLOBAL}defaults: ['/model/evil@hydra.callbacks']", "model/evil": f"x: {CALL}"
    },
    "a logging handler": {"experiment/evil": f"{GLOBAL}hydra: {{job_logging: {HANDLER}}}"},
    "a logging handler of hydra's": {"experiment/evil": f"{GLOBAL}hydra: {{hydra_logging: {HANDLER}}}"},
    "a launcher": {"experiment/evil": f"{GLOBAL}hydra: {{launcher: {CALL}}}"},
    "a sweeper": {"experiment/evil": f"{GLOBAL}hydra: {{sweeper: {CALL}}}"},
    "a folder": {"experiment/evil": f"{GLOBAL}hydra: {{run: {{dir: CANARY}}}}"},
    "a folder of a sweep": {"experiment/evil": f"{GLOBAL}hydra: {{sweep: {{dir: CANARY}}}}"},
    "a folder below": {"experiment/evil": f"{GLOBAL}hydra: {{output_subdir: CANARY}}"},
    "another working folder": {"experiment/evil": f"{GLOBAL}hydra: {{job: {{chdir: true}}, run: {{dir: CANARY}}}}"},
    "the environment": {"experiment/evil": f"{GLOBAL}hydra: {{job: {{env_set: {{CANARY_SET: x}}}}}}"},
    "a search path": {"experiment/evil": f"{GLOBAL}hydra: {{searchpath: ['pkg://canary_package']}}"},
    "a mode": {"experiment/evil": f"{GLOBAL}hydra: {{mode: MULTIRUN}}"},
    "all of it elsewhere": {"experiment/evil": f"{GLOBAL}x: {{callbacks: {{x: {CALL}}}}}\nhydra: ${{x}}"},
    "a launcher by name": {"experiment/evil": f"{GLOBAL}defaults: [{{override /hydra/launcher: joblib}}]"},
    "a key that is swept": {
        "experiment/evil": f"{GLOBAL}hydra: {{sweeper: {{params: {{+hydra.callbacks.x: '{CALL}'}}}}}}"
    },
    "a tag": {"experiment/evil": f"{GLOBAL}name: !!python/object/apply:os.mkdir [CANARY]"},
    "a resolver": {"experiment/evil": f"{GLOBAL}name: ${{eval:'__import__(\"os\").mkdir(\"CANARY\")'}}"},
}  # fmt: skip
WORDS = [
    f"+hydra.callbacks.x={CALL.replace(' ', '')}", f"++hydra.callbacks.x={CALL.replace(' ', '')}", "hydra.run.dir=CANARY",
    "+hydra={callbacks:{x:{_target_:os.mkdir,path:CANARY}}}", "hydra.sweep.dir=CANARY", "hydra.output_subdir=CANARY",
    "hydra.searchpath=[pkg://canary_package]", "hydra.job.chdir=true", "+hydra.job.env_set.CANARY_SET=x",
    "hydra/job_logging=default", "hydra/hydra_logging=default", "+model@hydra.callbacks=evil", "hydra/launcher=joblib",
    "hydra/sweeper=optuna", "~hydra/launcher", "hydra.launcher._target_=os.mkdir", "hydra.sweeper._target_=os.mkdir",
    "hydra.mode=MULTIRUN", "hydra.verbose=true", "-cp=pkg://canary_package", "-cn=../evil", "+hydra/callbacks=evil",
    "hydra.sweeper.max_batch_size=1", "hydra.job.name=x", "hydra=evil",
]  # fmt: skip
COMMANDS = {
    "run": ("run",), "run -m": ("run", "-m"), "plan": ("plan", "time=no"), "--cfg": ("run", "--cfg", "all"),
    "--info": ("run", "--info", "all"),
}  # fmt: skip


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """Return what is made where something runs; canary_package makes it when it is imported."""
    made = tmp_path / "canary"
    package = tmp_path / "site" / "canary_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"import os\nos.mkdir({str(made)!r})\n")
    (package / "evil.yaml").write_text("levels: 1\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "mine").mkdir()
    yield made
    assert not made.exists()
    assert "CANARY_SET" not in os.environ
    sys.modules.pop("canary_package", None)


def write(folder, files, canary):
    for name, text in files.items():
        path = folder / "mine" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("CANARY_SET", "\0").replace("CANARY", str(canary)).replace("\0", "CANARY_SET"))


def refused(lottery, capsys, *words):
    """Return the line of a command that ends with exit code 2."""
    capsys.readouterr()
    assert lottery(*words) == 2
    out, error = capsys.readouterr()
    assert error.startswith("lottery: ") and error.count("\n") == 1, (out, error)
    assert "a bug in lottery?" not in error
    return error


def share(cases):
    """Return cases with each of their commands, of which the default suite has every tenth."""
    names = list(COMMANDS)
    return [
        pytest.param(case, name, marks=[] if number % (2 * len(names)) == place else pytest.mark.slow)
        for number, case in enumerate(cases)
        for place, name in enumerate(names)
    ]


@pytest.mark.parametrize(("what", "command"), share(EVIL))
def test_no_file_runs_anything(what, command, lottery, tiny, canary, capsys, tmp_path):
    write(tmp_path, EVIL[what], canary)
    if what in ("a resolver", "a key that is swept"):
        command = "run -m"  # filled in, and swept, for a job alone
    line = refused(
        lottery, capsys, *COMMANDS[command], "--config-dir", tmp_path / "mine", *tiny, "experiment=evil"
    )
    assert "hydra" in line or "tag" in line or "interpolation type" in line
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("what", [pytest.param(w, marks=[pytest.mark.slow] * (n % 6 > 0)) for n, w in enumerate(EVIL)])
def test_no_file_runs_anything_in_python_or_a_shell(what, lottery, tiny, canary, capsys, tmp_path, monkeypatch):
    write(tmp_path, EVIL[what], canary)
    own = ["--config-dir", str(tmp_path / "mine"), "experiment=evil"]
    line = f"lottery run {' '.join(own)} mod"
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert lottery("-sc", "query=bash") == 0
    assert capsys.readouterr().err == ""
    with pytest.raises(UsageError):
        face.run([*own, *tiny, *(["-m"] if what == "a key that is swept" else [])])
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(("word", "command"), share(WORDS))
def test_no_word_runs_anything(word, command, lottery, tiny, canary, capsys, tmp_path, monkeypatch):
    write(tmp_path, {"model/evil": f"x: {CALL}", "hydra/callbacks/evil": f"x: {CALL}"}, canary)
    word = word.replace("CANARY_SET", "\0").replace("CANARY", str(canary)).replace("\0", "CANARY_SET")
    line = refused(lottery, capsys, *COMMANDS[command], "--config-dir", tmp_path / "mine", *tiny, word)
    assert word.split("=")[0].strip("+~-") in line or word.startswith("-c")
    monkeypatch.setenv("COMP_LINE", f"lottery run {word} mod")
    assert lottery("-sc", "query=bash") == 0
    assert not (tmp_path / "outputs").exists()


def test_a_folder_shadows_neither_hydras_config_nor_the_schema(lottery, tiny, canary, capsys, tmp_path):
    write(
        tmp_path,
        {"hydra/config": f"callbacks: {{x: {CALL}}}", "hydra/launcher/basic": CALL, "skeleton": "epochz: 3",
         "hydra/env/default": f"callbacks: {{x: {CALL}}}", "run": "levels: 0", "experiment/up": f"{GLOBAL}defaults: [../../up]",
         "../up": f"hydra: {{callbacks: {{x: {CALL}}}}}"},
        canary,
    )  # fmt: skip
    own = ["--config-dir", tmp_path / "mine"]
    assert lottery("run", *own, *tiny, "--cfg", "all") == 0
    assert "epochz" not in capsys.readouterr().out
    assert lottery("run", "-m", *own, *tiny, "levels=0") == 0
    assert "up" in refused(lottery, capsys, "run", *own, *tiny, "experiment=up")
    assert "no setting 'epochz'" in refused(lottery, capsys, "run", *own, "+epochz=3")


def test_what_hydra_sweeps_is_taken_from_files_and_from_words(lottery, tiny, capsys, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "two.yaml").write_text(
        f"{GLOBAL}defaults:\n  - override /hydra/launcher: basic\n  - override /hydra/sweeper: basic\n"
        "hydra: {sweeper: {params: {replicate: '0,1'}}}\n"
    )
    own = ["--config-dir", tmp_path / "mine"]
    assert lottery("plan", "-m", "time=no", *own, *tiny, "experiment=two") == 0
    assert "2 jobs: " in capsys.readouterr().out
    for words in (
        ["+hydra.sweeper.params={replicate:'0,1,2'}"], ["hydra.sweeper.params.replicate=0,1,2"],
        ["hydra/launcher=basic", "replicate=0,1,2"],
    ):  # fmt: skip
        assert lottery("plan", "-m", "time=no", *tiny, *words) == 0
        assert "3 jobs: " in capsys.readouterr().out
    assert lottery("plan", "-m", "time=no", *own, *tiny, "experiment=two", "~hydra.sweeper.params.replicate") == 0
    assert "1 jobs: " in capsys.readouterr().out


PLUGINS = {
    "hydra_joblib": "from hydra.plugins.launcher import Launcher\nclass JoblibLauncher(Launcher):\n    pass\n",
    "hydra_rq_launcher": "raise ValueError('mutable default <class X> for field y is not allowed')\n",
    "hydra_path": "import os\nos.mkdir(os.environ['CANARY_FOLDER'])\n",
}  # fmt: skip


@pytest.mark.slow
def test_plugins_of_hydra_cost_nothing_and_are_refused_by_name(shell, canary, tmp_path):
    for name, text in PLUGINS.items():
        folder = tmp_path / "site" / "hydra_plugins" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(text)
    env = {"PYTHONPATH": str(tmp_path / "site"), "CANARY_FOLDER": str(canary)}
    done = shell("run", "--cfg", "job", "--package", "levels", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "null\n", "")
    for word, said in (
        ("hydra/launcher=joblib", "joblib is not supported: it cannot report failures; type host.workers=2 (with -m)"),
        ("hydra/launcher=rq", "(ValueError: mutable default <class X> for field y is not allowed); pip uninstall hydra-rq-launcher"),
        ("hydra/sweeper=optuna", "optuna is not supported: a run gives it no number to optimise; type lottery search space.KEY=LOW:HIGH, or"),
    ):
        done = shell("run", "-m", word, "levels=0", env=env)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr


def test_a_program_that_uses_hydra_keeps_its_plugins_and_resolvers(here_is_hydra):
    from hydra.core.plugins import Plugins
    from omegaconf import OmegaConf

    plugins = Plugins.instance()
    OmegaConf.register_new_resolver("theirs", lambda: "ran", replace=True)
    try:
        with pytest.raises(UsageError, match="interpolation type theirs"):
            face.run(["name=${theirs:}"])
        assert OmegaConf.create({"x": "${theirs:}"}).x == "ran"
        assert Plugins.instance() is plugins
    finally:
        OmegaConf.clear_resolver("theirs")


@pytest.fixture
def here_is_hydra(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


ELSEWHERE = [
    "name=${oc.env:HIDDEN}", "name=${oc.env:HIDDEN,x}", "+model.x=${oc.env:HIDDEN}", "model=${oc.env:HIDDEN}",
    "train.length=${oc.env:HIDDEN}", "name=${data}", "name=${host.device}", "name=${oc.select:data}", "name=${outputs}",
    "prune.include=[${oc.env:HIDDEN}]", "name='${oc.decode:\"${oc.env:HIDDEN}\"}'", "levels=${oc.env:HIDDEN}",
    "loggers.mlflow.uri=${oc.env:HIDDEN}", "data=${oc.env:${oc.env:HIDDEN}}",
    "host.threads=${oc.env:HIDDEN}", "data=${oc.env:MY_TOKEN}", "outputs=/tmp/${oc.env:MY_TOKEN}", "data=${oc.env:NONE_SUCH}",
    "name='\\${oc.env:HIDDEN}'", "~data=${oc.env:HIDDEN}", "+data=${oc.env:HIDDEN}", "name=${hydra:job.env_set}",
    "+prune.allocation.rates={${oc.env:HIDDEN}:1}", "train=${oc.env:HIDDEN}", "model.hidden=${oc.dict.values:host}",
]  # fmt: skip


@pytest.mark.parametrize(
    "word", [pytest.param(w, marks=[pytest.mark.slow] * (n % 4 > 0)) for n, w in enumerate(ELSEWHERE)]
)
def test_the_environment_is_for_places(word, lottery, tiny, capsys, tmp_path, monkeypatch):
    for name in ("HIDDEN", "MY_TOKEN"):
        monkeypatch.setenv(name, "hunter2")
    words = ["outputs=${oc.env:HIDDEN}", "host.device=${oc.env:HIDDEN}", "log=[mlflow]"]
    assert "hunter2" not in refused(lottery, capsys, "run", *tiny, *words, word)
    assert not (tmp_path / "outputs").exists()


def test_places_come_from_the_environment(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SCRATCH", str(tmp_path / "outputs"))
    monkeypatch.setenv("CORES", "1")
    monkeypatch.setenv("MY_KEY", str(tmp_path))
    folder = run("outputs=${oc.env:SCRATCH}", "host.threads=${oc.env:CORES}", "data=${oc.env:MY_KEY}/data", "levels=0")
    assert folder.is_relative_to(tmp_path / "outputs")
    assert "${" not in (folder / "config.yaml").read_text()


def test_settings_refer_to_each_other_and_to_what_was_chosen():
    from omegaconf import OmegaConf

    config = OmegaConf.create({"a": "${b.c}", "b": {"c": 3}, "name": "${hydra:runtime.choices.model}_${a}"})
    assert plain(config, {"model": "lenet"}) == {"a": 3, "b": {"c": 3}, "name": "lenet_3"}


@pytest.mark.parametrize("text", ["a: ${a}", "a: ${b}\nb: ${a}", "a:\n  b: ${a}", "a: ['${a}']"])
def test_what_refers_to_itself_ends(text):
    from omegaconf import OmegaConf

    with pytest.raises(UsageError):
        plain(OmegaConf.create(text))


def test_texts_that_multiply_end():
    from omegaconf import OmegaConf

    lines = {"b0": "x" * 10} | {f"b{n}": f"${{b{n - 1}}}" * 10 for n in range(1, 12)}
    with pytest.raises(UsageError, match="grows without end"):
        plain(OmegaConf.create(dict(reversed(lines.items()))))


def test_an_address_with_a_password_is_no_place(monkeypatch):
    from omegaconf import OmegaConf

    monkeypatch.setenv("INNOCENT", "https://me:hunter2@host/data")
    with pytest.raises(UsageError, match="with a password") as caught:
        plain(OmegaConf.create({"data": "${oc.env:INNOCENT}"}))
    assert "hunter2" not in str(caught.value)
